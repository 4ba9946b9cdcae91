//! Commands that users shall paste: their words are quoted for a shell, and they mean the platform that was meant here.

use std::path::{Path, PathBuf};

/// A path as a word of a command.
pub fn path(path: &Path) -> String {
    word(&path.to_string_lossy())
}

/// A text as one word of a command.
pub fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The flags that named the platform.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--data`, unless the environment says the same.
    pub data: Option<PathBuf>,
    /// `--endpoint`.
    pub endpoint: Option<String>,
}

impl Flags {
    /// A text that ends with a command of ours, if it does, with the flags that it needs to mean the same platform. Where
    /// a remark follows the command, the same goes for both.
    pub fn onto(&self, text: &str) -> String {
        let parts: Vec<String> = text.split(" # ").map(|part| self.onto_one(part)).collect();
        parts.join(" # ")
    }

    fn onto_one(&self, text: &str) -> String {
        let Some(begin) = text.rfind("dayfly ") else { return text.to_owned() };
        let command = &text[begin..];
        if ["--help", "--data", "--endpoint"].iter().any(|flag| command.contains(flag)) {
            return text.to_owned();
        }
        let data = self.data.as_ref().map(|data| format!(" --data {}", path(data)));
        let endpoint = self.endpoint.as_ref().filter(|_| !command.starts_with("dayfly up"));
        let endpoint = endpoint.map(|url| format!(" --endpoint {}", word(url)));
        format!("{text}{}{}", data.unwrap_or_default(), endpoint.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_one_word() {
        for (text, expected) in [
            ("examples/py-1.0", "examples/py-1.0"),
            ("my project", "'my project'"),
            ("it's", r"'it'\''s'"),
            ("~/x", "'~/x'"),
            ("$HOME", "'$HOME'"),
            ("größe", "'größe'"),
            ("", "''"),
        ] {
            assert_eq!(word(text), expected);
        }
    }

    #[test]
    fn commands_mean_the_same_platform() {
        let flags = Flags { data: Some("/tmp/my data".into()), endpoint: Some("http://127.0.0.1:1".into()) };
        for (text, expected) in [
            ("dayfly list", "dayfly list --data '/tmp/my data' --endpoint http://127.0.0.1:1"),
            (
                "to see it: dayfly logs f",
                "to see it: dayfly logs f --data '/tmp/my data' --endpoint http://127.0.0.1:1",
            ),
            ("dayfly up", "dayfly up --data '/tmp/my data'"),
            ("dayfly up --data elsewhere", "dayfly up --data elsewhere"),
            ("dayfly logs --help", "dayfly logs --help"),
            (
                "sudo dayfly up # or: dayfly up -x",
                "sudo dayfly up --data '/tmp/my data' # or: dayfly up -x --data '/tmp/my data'",
            ),
            ("ls -l x", "ls -l x"),
        ] {
            assert_eq!(flags.onto(text), expected);
            assert_eq!(Flags::default().onto(text), text);
        }
    }
}
