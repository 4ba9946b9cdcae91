//! What has to be there before functions of people who do not trust each other may run side by side. Pure.

use crate::ServerError;
use sandbox::{Layer, Protections};

/// Everything that is missing or weaker than it could be, at once.
pub(crate) fn refuse_what_is_missing(found: &Protections) -> Result<(), ServerError> {
    let weak = |layer: &&Layer| !layer.on || layer.why_missing.is_some();
    let missing: Vec<Layer> = found.layers.iter().filter(weak).cloned().chain(not_built()).collect();
    if missing.is_empty() { Ok(()) } else { Err(ServerError::NotForTenants(missing)) }
}

/// What no machine has, since it is not built.
fn not_built() -> Option<Layer> {
    Some(Layer {
        name: "own root image".to_owned(),
        on: false,
        why_missing: Some("sandboxes share this machine's /usr, read-only".to_owned()),
        how_to_fix: Some("run a platform, on a machine of its own, for each tenant".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_missing_or_weaker_is_listed() {
        let layer = |name: &str, on: bool, why: Option<&str>| Layer {
            name: name.to_owned(),
            on,
            why_missing: why.map(str::to_owned),
            how_to_fix: None,
        };
        let layers = vec![
            layer("seccomp", true, None),
            layer("memory limit", false, Some("no control group")),
            layer("landlock", true, Some("no scopes")),
        ];
        let Err(ServerError::NotForTenants(missing)) =
            refuse_what_is_missing(&Protections { level: 2, layers })
        else {
            panic!("it must refuse");
        };
        let names: Vec<&str> = missing.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names, ["memory limit", "landlock", "own root image"]);
    }
}
