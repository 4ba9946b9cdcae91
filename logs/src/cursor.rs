//! Pages of a list that is in memory.

use crate::LogsError;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// The items after the one that `token` names, at most `limit`, and the token of the next page. `place` gives an
/// item's place in the order of the list as text.
pub(crate) fn page<T>(
    items: Vec<T>,
    place: impl Fn(&T) -> String,
    token: Option<&str>,
    limit: usize,
) -> Result<(Vec<T>, Option<String>), LogsError> {
    let invalid = || LogsError::invalid("The specified nextToken is invalid.");
    let start = match token {
        None => 0,
        Some(token) => {
            let last = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
            let last = String::from_utf8(last).map_err(|_| invalid())?;
            items.iter().position(|item| place(item) == last).ok_or_else(invalid)? + 1
        }
    };
    let more = items.len() > start + limit;
    let page: Vec<T> = items.into_iter().skip(start).take(limit).collect();
    let next = page.last().filter(|_| more).map(|last| BASE64_URL_SAFE_NO_PAD.encode(place(last)));
    Ok((page, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_join_to_the_whole() {
        let all: Vec<String> = (0..7).map(|n| format!("item {n}")).collect();
        for limit in 1..9 {
            let (mut seen, mut token) = (Vec::new(), None);
            loop {
                let (items, next) =
                    page(all.clone(), String::clone, token.as_deref(), limit).expect("a page");
                assert!(items.len() <= limit);
                seen.extend(items);
                token = next;
                if token.is_none() {
                    break;
                }
            }
            assert_eq!(seen, all, "{limit} at a time");
        }
        for bad in ["", "!", "aXRlbSA5"] {
            assert!(page(all.clone(), String::clone, Some(bad), 3).is_err(), "{bad:?}");
        }
    }
}
