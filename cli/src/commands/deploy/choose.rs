//! Which of the platform's runtimes a project gets.

use crate::api::platform::Interpreter;
use crate::failure::Failure;
use crate::recipe::{Recipe, RuntimeWish};
use model::{Language, Runtime};
use std::path::PathBuf;

const COMPILED: &str = "provided.al2023";
const COMPONENT: &str = "wasm";

/// A chosen runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The runtime.
    pub runtime: Runtime,
    /// Its interpreter on the platform's machine.
    pub executable: Option<PathBuf>,
    /// Why this one, for the user.
    pub why: String,
}

/// Chooses: what the user asks for; else what the function runs on now; else the newest that the project accepts.
pub fn runtime(
    recipe: &Recipe,
    wish: Option<&RuntimeWish>,
    found: &[Interpreter],
    current: Option<&str>,
) -> Result<Choice, Failure> {
    if recipe.language == Language::Provided {
        let identifier = match wish {
            Some(RuntimeWish::Exact(runtime)) => runtime.identifier.as_str(),
            _ => COMPILED,
        };
        let runtime = parse(identifier)?;
        return Ok(Choice { runtime, executable: None, why: "which runs any program".into() });
    }
    if recipe.language == Language::Wasm {
        let why = "which runs wasi:http components".into();
        return Ok(Choice { runtime: parse(COMPONENT)?, executable: None, why });
    }
    let mut able: Vec<(Runtime, &Interpreter)> = found
        .iter()
        .filter(|interpreter| interpreter.language() == Some(recipe.language))
        .filter_map(|interpreter| Some((Runtime::parse(&interpreter.identifier()?).ok()?, interpreter)))
        .collect();
    able.sort_by_key(|(_, interpreter)| std::cmp::Reverse(interpreter.number()));
    let choice = |(runtime, interpreter): (Runtime, &Interpreter), why: String| Choice {
        runtime,
        executable: Some(PathBuf::from(&interpreter.executable)),
        why,
    };
    if let Some(RuntimeWish::Exact(asked)) = wish {
        let same = able.iter().find(|(runtime, _)| runtime == asked).cloned();
        return same
            .map(|same| choice(same, "as you asked".into()))
            .ok_or_else(|| missing(recipe, format!("the platform has no {}", asked.identifier), &able));
    }
    let accepts = |interpreter: &Interpreter| match &recipe.accepts {
        Some((range, _)) => interpreter.number().is_some_and(|number| range.contains(number)),
        None => true,
    };
    let fitting: Vec<_> = able.iter().filter(|(_, interpreter)| accepts(interpreter)).cloned().collect();
    let condition =
        recipe.accepts.as_ref().map_or_else(String::new, |(range, place)| format!(" ({place}: {range})"));
    if let Some(same) = fitting.iter().find(|(runtime, _)| Some(runtime.identifier.as_str()) == current) {
        return Ok(choice(same.clone(), format!("as before{condition}")));
    }
    match fitting.into_iter().next() {
        Some(newest) => {
            let version = newest.1.version.clone();
            Ok(choice(newest, format!("the newest here that fits, {version}{condition}")))
        }
        None => Err(missing(recipe, format!("the platform has no runtime that fits{condition}"), &able)),
    }
}

fn parse(identifier: &str) -> Result<Runtime, Failure> {
    Runtime::parse(identifier).map_err(|error| {
        Failure::usage(format!("no runtime {identifier:?}"), error.to_string(), "dayfly doctor")
    })
}

fn missing(recipe: &Recipe, what: String, able: &[(Runtime, &Interpreter)]) -> Failure {
    let name = match recipe.language {
        Language::Python => "Python",
        Language::Java => "Java",
        _ => "Node",
    };
    let found: Vec<&str> = able.iter().map(|(_, interpreter)| interpreter.version.as_str()).collect();
    let why = if found.is_empty() {
        format!("no {name} was found on the platform's machine when it started")
    } else {
        format!("it found {name} {}", found.join(", "))
    };
    Failure::new(what, why, "dayfly doctor")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::Range;
    use crate::recipe::{Kind, compiled::Compiled};

    fn recipe(language: Language, accepts: Option<&str>) -> Recipe {
        Recipe {
            language,
            handler: String::new(),
            why: String::new(),
            accepts: accepts.map(|text| (Range::python(text).expect("sound"), "pyproject.toml")),
            notes: Vec::new(),
            kind: Kind::Compiled(Compiled::File(PathBuf::new())),
        }
    }

    #[test]
    fn choices() {
        let found: Vec<Interpreter> =
            [("python", "3.9.2"), ("python", "3.13.1"), ("python", "3.11.7"), ("node", "20.1.0")]
                .map(|(language, version)| Interpreter {
                    language: language.into(),
                    version: version.into(),
                    executable: format!("/opt/{language}{version}"),
                })
                .to_vec();
        let check = |accepts, wish: &str, current, expected: Result<&str, &str>| {
            let wish = (!wish.is_empty()).then(|| RuntimeWish::parse(wish).expect("known"));
            let choice = runtime(&recipe(Language::Python, accepts), wish.as_ref(), &found, current);
            let identifier = choice.map(|choice| choice.runtime.identifier).map_err(|failure| failure.what);
            assert_eq!(identifier.as_deref().map_err(String::as_str), expected);
        };
        check(None, "", None, Ok("python3.13"));
        check(None, "python", None, Ok("python3.13"));
        check(None, "python3.9", None, Ok("python3.9"));
        check(None, "python3.10", None, Err("the platform has no python3.10"));
        check(None, "", Some("python3.11"), Ok("python3.11"));
        check(None, "", Some("python3.10"), Ok("python3.13"));
        check(Some("<3.12"), "", None, Ok("python3.11"));
        check(Some("<3.12"), "", Some("python3.13"), Ok("python3.11"));
        check(
            Some(">=3.14"),
            "",
            None,
            Err("the platform has no runtime that fits (pyproject.toml: >=3.14)"),
        );
        let compiled = runtime(&recipe(Language::Provided, None), None, &[], None).expect("always");
        assert_eq!(compiled.runtime.identifier, "provided.al2023");
        let none = runtime(&recipe(Language::Node, None), None, &[], None).expect_err("no node");
        assert_eq!(none.why, "no Node was found on the platform's machine when it started");
    }
}
