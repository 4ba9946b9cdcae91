//! Patterns with `*` (any run of characters) and `?` (any one character).

/// Whether the whole of `text` fits `pattern`. Linear in the product of their lengths at worst.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    if !pattern.contains(['*', '?']) {
        return pattern == text;
    }
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match retry {
                Some((after_star, from)) => {
                    (p, t) = (after_star, from + 1);
                    retry = Some((after_star, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Whether an ARN fits a pattern: each of the six colon-separated parts by itself, so that a `*` in one part
/// does not reach into the next.
pub(super) fn arn_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<&str>, Vec<&str>) =
        (pattern.splitn(6, ':').collect(), text.splitn(6, ':').collect());
    pattern.len() == 6 && text.len() == 6 && pattern.iter().zip(&text).all(|(p, t)| matches(p, t))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*", "anything", true),
            ("", "", true),
            ("", "a", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("lambda:*Url", "lambda:InvokeFunctionUrl", true),
            ("lambda:Invoke*", "lambda:GetPolicy", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxbxxa", false),
            ("a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn arns() {
        for (pattern, text, fits) in [
            ("arn:aws:s3:::bucket*", "arn:aws:s3:::bucket-1", true),
            ("arn:aws:*:*:1:rule/x", "arn:aws:events:eu-west-1:1:rule/x", true),
            ("arn:aws:*:1:rule/x", "arn:aws:events:eu-west-1:1:rule/x", false),
            ("*", "arn:aws:s3:::bucket", false),
            ("arn:aws:s3:::b", "b", false),
        ] {
            assert_eq!(arn_matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
