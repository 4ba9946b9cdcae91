// Gives out identifiers; the module is installed from package-lock.json.
import { nanoid } from 'nanoid';

let calls = 0;

export const handler = async (event) => {
  calls += 1;
  const name = event.name ?? event.queryStringParameters?.name ?? 'world';
  console.log(`call ${calls} of this instance`);
  return { message: `Hello, ${name}`, id: nanoid(), calls };
};
