// Imported by `template.cjs`, as a function's own module would be.
export const handler = async () => ({})
