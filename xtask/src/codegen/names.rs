//! From the models' names to Rust's.

const KEYWORDS: &[&str] =
    &["type", "match", "ref", "move", "in", "self", "use", "where", "loop", "final", "box"];

/// Words of a name: `KMSKeyArn` is `kms key arn`, `nodejs22.x` is `nodejs22 x`.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    for (index, &char) in chars.iter().enumerate() {
        if !char.is_ascii_alphanumeric() {
            words.push(std::mem::take(&mut word));
            continue;
        }
        let before = index.checked_sub(1).map(|i| chars[i]);
        let after = chars.get(index + 1);
        let lower_before = before.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let upper_before = before.is_some_and(|c| c.is_ascii_uppercase());
        let starts = char.is_ascii_uppercase()
            && (lower_before || (upper_before && after.is_some_and(|c| c.is_ascii_lowercase())));
        if starts {
            words.push(std::mem::take(&mut word));
        }
        word.push(char.to_ascii_lowercase());
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// `FunctionName` → `function_name`.
pub fn snake(name: &str) -> String {
    let name = words(name).join("_");
    if KEYWORDS.contains(&name.as_str()) { format!("r#{name}") } else { name }
}

/// `FunctionName` → `FUNCTION_NAME`.
pub fn screaming(name: &str) -> String {
    words(name).join("_").to_ascii_uppercase()
}

/// `nodejs22.x` → `Nodejs22X`, `AWS_IAM` → `AwsIam`.
pub fn camel(name: &str) -> String {
    let upper = |word: String| word[..1].to_ascii_uppercase() + &word[1..];
    let name: String = words(name).into_iter().map(upper).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("V{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (model, expected) in [
            ("FunctionName", "function_name"),
            ("KMSKeyArn", "kms_key_arn"),
            ("CodeSha256", "code_sha256"),
            ("logGroupName", "log_group_name"),
            ("Type", "r#type"),
            ("S3Bucket", "s3_bucket"),
            ("StartedUs", "started_us"),
        ] {
            assert_eq!(snake(model), expected);
        }
        for (text, expected) in [
            ("nodejs22.x", "Nodejs22X"),
            ("AWS_IAM", "AwsIam"),
            ("RequestResponse", "RequestResponse"),
            ("TRACE", "Trace"),
            ("python3.12", "Python312"),
        ] {
            assert_eq!(camel(text), expected);
        }
    }
}
