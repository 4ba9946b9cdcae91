//! `dayfly.toml`: the options of `dayfly deploy`, kept with the code.

use crate::failure::Failure;
use crate::likeness::closest;
use crate::pasted;
use model::Egress;
use std::collections::BTreeMap;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The file's name.
pub const FILE: &str = "dayfly.toml";

/// What a deployment asks for. Absent means: not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Function name.
    pub name: Option<String>,
    /// A runtime such as `python3.12`, or a language: `python`, `nodejs`, `java`.
    pub runtime: Option<String>,
    /// Such as `app.handler`.
    pub handler: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Execution role ARN.
    pub role: Option<String>,
    /// Mebibytes.
    pub memory: Option<u32>,
    /// Seconds.
    pub timeout: Option<u32>,
    /// Size of `/tmp` in mebibytes.
    pub tmp: Option<u32>,
    /// Calls that one instance may serve at the same time.
    pub instance_concurrency: Option<u32>,
    /// Calls at once that are reserved for it; not said: leave it as it is.
    pub reserved_concurrency: Option<u32>,
    /// Instances that are kept ready; not said: leave it as it is.
    pub provisioned: Option<u32>,
    /// Whether instances are forked from a process that has loaded the code; not said: leave it as it is.
    pub snapstart: Option<bool>,
    /// Whether each deployment publishes a version.
    pub publish: Option<bool>,
    /// Whether a public URL shall exist; not said: leave it as it is.
    pub public: Option<bool>,
    /// How far out it may connect.
    pub egress: Option<Egress>,
    /// All environment variables; not said: leave them as they are.
    pub env: Option<BTreeMap<String, String>>,
}

/// Every key, its form, and what it means. The README of `examples/` and `dayfly deploy --help` show them.
pub const KEYS: &[(&str, &str, &str)] = &[
    ("name", "string", "function name; default: the directory's name"),
    (
        "runtime",
        "string",
        "\"python3.12\", \"nodejs22.x\", \"java21\", \"provided.al2023\", \"wasm\", or just the language",
    ),
    ("handler", "string", "what to call, such as \"app.handler\""),
    ("description", "string", "free text"),
    ("role", "string", "ARN of the execution role"),
    ("memory", "integer", "megabytes, 128 to 10240"),
    ("timeout", "integer", "seconds, 1 to 900"),
    ("tmp", "integer", "megabytes of /tmp, 512 to 10240"),
    ("instance-concurrency", "integer", "calls at once in one instance, 1 to 1600, of Python 128"),
    ("reserved-concurrency", "integer", "calls at once that are reserved for it, and the most that it gets"),
    ("provisioned", "integer", "instances that are kept ready, however long nobody calls"),
    ("snapstart", "boolean", "whether instances start as copies of a process that has loaded the code"),
    ("publish", "boolean", "whether each deployment publishes a version, which stays as it is"),
    ("public", "boolean", "whether anybody may call the function by URL"),
    ("egress", "string", "how far out it may connect: \"none\", \"platform\", \"public\" or \"all\""),
    ("env", "table", "environment variables, all of them"),
];

impl Settings {
    /// Reads `directory/dayfly.toml`; no file means no settings.
    pub fn load(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path.display().to_string()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Failure::usage(
                format!("cannot read {}", path.display()),
                error.to_string(),
                format!("ls -l {}", pasted::path(&path)),
            )),
        }
    }

    /// Reads the text of a settings file; `path` is for messages.
    pub fn parse(text: &str, path: &str) -> Result<Self, Failure> {
        let source = Source { text, path };
        let table = DeTable::parse(text).map_err(|error| source.syntax(&error))?;
        let mut settings = Self::default();
        for (key, value) in table.get_ref() {
            settings.set(&source, key, value)?;
        }
        Ok(settings)
    }

    fn set(
        &mut self,
        source: &Source<'_>,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), Failure> {
        let field = Field { source, name: key.get_ref(), value };
        match key.get_ref().as_ref() {
            "name" => self.name = Some(field.string()?),
            "runtime" => self.runtime = Some(field.string()?),
            "handler" => self.handler = Some(field.string()?),
            "description" => self.description = Some(field.string()?),
            "role" => self.role = Some(field.string()?),
            "memory" => self.memory = Some(field.integer()?),
            "timeout" => self.timeout = Some(field.integer()?),
            "tmp" => self.tmp = Some(field.integer()?),
            "instance-concurrency" => self.instance_concurrency = Some(field.integer()?),
            "reserved-concurrency" => self.reserved_concurrency = Some(field.integer()?),
            "provisioned" => self.provisioned = Some(field.integer()?),
            "snapstart" => self.snapstart = Some(field.boolean()?),
            "publish" => self.publish = Some(field.boolean()?),
            "public" => self.public = Some(field.boolean()?),
            "egress" => self.egress = Some(field.egress()?),
            "env" => self.env = Some(field.variables()?),
            unknown => return Err(source.unknown(unknown, key.span().start)),
        }
        Ok(())
    }
}

struct Source<'a> {
    text: &'a str,
    path: &'a str,
}

impl Source<'_> {
    fn place(&self, offset: usize) -> String {
        let before = &self.text[..offset.min(self.text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("{}:{line}:{column}", self.path)
    }

    fn syntax(&self, error: &toml::de::Error) -> Failure {
        let start = error.span().map_or(0, |span| span.start);
        Failure::usage(
            format!("{}: this is not TOML", self.place(start)),
            error.message(),
            format!("${{EDITOR:-vi}} {}", pasted::word(self.path)),
        )
    }

    fn unknown(&self, key: &str, offset: usize) -> Failure {
        let what = format!("{}: unknown key {key:?}", self.place(offset));
        match closest(key, KEYS.iter().map(|(name, ..)| *name)) {
            Some(meant) => Failure::usage(
                what,
                format!("did you mean {meant:?}?"),
                format!("sed -i 's/^{key}\\b/{meant}/' {}", pasted::word(self.path)),
            ),
            None => {
                let keys: Vec<&str> = KEYS.iter().map(|(name, ..)| *name).collect();
                Failure::usage(what, format!("the keys are {}", keys.join(", ")), "dayfly deploy --help")
            }
        }
    }
}

struct Field<'a> {
    source: &'a Source<'a>,
    name: &'a str,
    value: &'a Spanned<DeValue<'a>>,
}

impl Field<'_> {
    fn string(&self) -> Result<String, Failure> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            _ => Err(self.wrong("a string in quotes")),
        }
    }

    fn integer(&self) -> Result<u32, Failure> {
        match self.value.get_ref() {
            DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix())
                .map_err(|_| self.wrong("a whole number that is not negative")),
            _ => Err(self.wrong("a whole number")),
        }
    }

    fn egress(&self) -> Result<Egress, Failure> {
        let found = Egress::parse(&self.string()?);
        found.ok_or_else(|| self.wrong("one of \"none\", \"platform\", \"public\", \"all\""))
    }

    fn boolean(&self) -> Result<bool, Failure> {
        match self.value.get_ref() {
            DeValue::Boolean(truth) => Ok(*truth),
            _ => Err(self.wrong("true or false")),
        }
    }

    fn variables(&self) -> Result<BTreeMap<String, String>, Failure> {
        let DeValue::Table(table) = self.value.get_ref() else {
            return Err(self.wrong("a table: [env], then KEY = \"value\" lines"));
        };
        table
            .iter()
            .map(|(key, value)| {
                let variable = Field { source: self.source, name: key.get_ref(), value };
                Ok((key.get_ref().to_string(), variable.string()?))
            })
            .collect()
    }

    fn wrong(&self, expected: &str) -> Failure {
        Failure::usage(
            format!(
                "{}: the value of {:?} is of the wrong kind",
                self.source.place(self.value.span().start),
                self.name
            ),
            format!("it must be {expected}"),
            format!("${{EDITOR:-vi}} {}", pasted::word(self.source.path)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys() {
        let text = "name = 'a'\nruntime = 'python'\nhandler = 'app.handler'\ndescription = 'd'\nrole = 'r'\n\
                    memory = 256\ntimeout = 0x1e\ntmp = 512\ninstance-concurrency = 8\n\
                    reserved-concurrency = 5\nprovisioned = 1\nsnapstart = true\npublish = true\npublic = true\negress = 'all'\n[env]\nA = '1'\n";
        let settings = Settings::parse(text, "dayfly.toml").expect("it is valid");
        assert_eq!(settings.name.as_deref(), Some("a"));
        assert_eq!((settings.memory, settings.timeout, settings.public), (Some(256), Some(30), Some(true)));
        assert_eq!(settings.env, Some(BTreeMap::from([("A".into(), "1".into())])));
        for (key, ..) in KEYS {
            assert!(text.contains(&format!("{key} =")) || text.contains(&format!("[{key}]")), "{key}");
        }
    }

    #[test]
    fn mistakes_show_their_place() {
        let check = |text: &str, what: &str, why: &str, hint: &str| {
            let failure = Settings::parse(text, "dayfly.toml").expect_err(text);
            assert_eq!((failure.what.as_str(), failure.why.as_str()), (what, why));
            assert!(failure.hint.contains(hint), "{}", failure.hint);
            assert_eq!(failure.exit, crate::failure::Exit::Usage);
        };
        check(
            "name = 'a'\n\nmemroy = 3\n",
            "dayfly.toml:3:1: unknown key \"memroy\"",
            "did you mean \"memory\"?",
            "sed -i 's/^memroy\\b/memory/' dayfly.toml",
        );
        check(
            "entrypoint = 'x'",
            "dayfly.toml:1:1: unknown key \"entrypoint\"",
            "the keys are name, runtime, handler, description, role, memory, timeout, tmp, \
             instance-concurrency, reserved-concurrency, provisioned, snapstart, publish, public, egress, env",
            "dayfly deploy --help",
        );
        check(
            "memory = '256'",
            "dayfly.toml:1:10: the value of \"memory\" is of the wrong kind",
            "it must be a whole number",
            "dayfly.toml",
        );
        check(
            "memory = -1",
            "dayfly.toml:1:10: the value of \"memory\" is of the wrong kind",
            "it must be a whole number that is not negative",
            "dayfly.toml",
        );
        check(
            "[env]\nA = 1\n",
            "dayfly.toml:2:5: the value of \"A\" is of the wrong kind",
            "it must be a string in quotes",
            "dayfly.toml",
        );
        let failure = Settings::parse("name = \n", "dayfly.toml").expect_err("no value");
        assert_eq!(failure.what, "dayfly.toml:1:8: this is not TOML");
    }
}
