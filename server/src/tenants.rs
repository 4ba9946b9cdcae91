//! What has to be there before functions of people who do not trust each other may run side by side. Pure.

use crate::ServerError;
use sandbox::{Layer, Protections};

/// Whether a root image of our own was made yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Image {
    /// It will be, if nothing else is missing.
    ToCome,
    /// If there is none now, there will be none.
    Here,
}

/// Everything that is missing or weaker than it could be, at once.
pub(crate) fn refuse_what_is_missing(found: &Protections, image: Image) -> Result<(), ServerError> {
    let to_come = |layer: &Layer| image == Image::ToCome && layer.name == Protections::OWN_IMAGE;
    let weak = |layer: &&Layer| (!layer.on || layer.why_missing.is_some()) && !to_come(layer);
    let missing: Vec<Layer> = found.layers.iter().filter(weak).cloned().collect();
    if missing.is_empty() { Ok(()) } else { Err(ServerError::NotForTenants(missing)) }
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
            layer("own root image", false, Some("none")),
        ];
        let names = |layers: &[Layer], image| match refuse_what_is_missing(
            &Protections { level: 2, layers: layers.to_vec() },
            image,
        ) {
            Ok(()) => Vec::new(),
            Err(ServerError::NotForTenants(missing)) => missing.into_iter().map(|layer| layer.name).collect(),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(names(&layers, Image::Here), ["memory limit", "landlock", "own root image"]);
        assert_eq!(names(&layers, Image::ToCome), ["memory limit", "landlock"]);
        assert!(names(&layers[..1], Image::Here).is_empty());
    }
}
