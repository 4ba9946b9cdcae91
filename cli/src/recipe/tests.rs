//! Recognition as a table of directory trees.

use super::*;
use trees::plant;

const PACKAGE: &str = r#"{"name":"x","main":"index.js"}"#;

fn wishes(runtime: &str, handler: &str) -> Wishes {
    Wishes {
        runtime: (!runtime.is_empty()).then(|| RuntimeWish::parse(runtime).expect("known")),
        handler: (!handler.is_empty()).then(|| handler.to_owned()),
    }
}

fn check(files: &[(&str, &str)], wishes: &Wishes, handler: &str, why: &str) -> Recipe {
    let root = plant(files);
    let recipe = recognise(root.path(), wishes).unwrap_or_else(|failure| panic!("{files:?}: {failure:?}"));
    assert_eq!(recipe.handler, handler, "{files:?}");
    assert_eq!(recipe.why, why, "{files:?}");
    recipe
}

fn refused(files: &[(&str, &str)], wishes: &Wishes, what: &str, why: &str, hint: &str) {
    let root = plant(files);
    let failure = recognise(root.path(), wishes).expect_err(what);
    let here = root.path().display().to_string();
    let plain = |text: &str| text.replace(&here, "DIR");
    assert_eq!(
        (plain(&failure.what).as_str(), plain(&failure.why).as_str(), plain(&failure.hint).as_str()),
        (what, why, hint)
    );
    assert_eq!(failure.exit, crate::failure::Exit::Usage);
}

#[test]
fn python_projects() {
    let any = Wishes::default();
    let def = "def handler(event, context):\n    return 1\n";
    check(&[("app.py", def)], &any, "app.handler", "app.py defines handler; no requirements");
    check(
        &[("lambda_function.py", "def lambda_handler(e, c): pass\n"), ("requirements.txt", "a\nb\n")],
        &any,
        "lambda_function.lambda_handler",
        "lambda_function.py defines lambda_handler; requirements.txt with 2 lines",
    );
    check(
        &[("app.py", "x = 1\n"), ("main.py", def)],
        &any,
        "main.handler",
        "main.py defines handler; no requirements",
    );
    let recipe = check(
        &[
            ("app.py", def),
            ("pyproject.toml", "[project]\nrequires-python = '>=3.10'\ndependencies = ['a']\n"),
        ],
        &any,
        "app.handler",
        "app.py defines handler; pyproject.toml with 1 dependency",
    );
    assert!(
        recipe.accepts.is_some_and(|(range, _)| range.contains((3, 10, 0)) && !range.contains((3, 9, 0)))
    );
    check(
        &[("shop/api.py", "def run(e, c): pass\n")],
        &wishes("", "shop.api.run"),
        "shop.api.run",
        "shop/api.py has the handler you named; no requirements",
    );
    check(
        &[("app.py", def), ("package.json", PACKAGE), ("index.js", "exports.handler = 1")],
        &wishes("python3.11", ""),
        "app.handler",
        "app.py defines handler; no requirements",
    );
}

#[test]
fn python_mistakes() {
    let any = Wishes::default();
    refused(
        &[("app.py", "def main(event, context): pass\n")],
        &any,
        "no handler was found",
        "app.py defines main but neither handler nor lambda_handler",
        "dayfly deploy DIR --handler app.main",
    );
    refused(
        &[("app.py", "def hanlder(event, context): pass\n")],
        &wishes("", "app.handler"),
        "app.py does not define handler",
        "did you mean hanlder?",
        "dayfly deploy DIR --handler app.hanlder",
    );
    refused(
        &[("app.py", "def handler(e, c): pass\n")],
        &wishes("python", "ap.handler"),
        "handler \"ap.handler\" has no file",
        "DIR/ap.py does not exist",
        "ls DIR",
    );
    refused(
        &[("app.py", "def handler(e, c): pass\n"), ("package.json", PACKAGE)],
        &any,
        "DIR holds a Python and a Node project",
        "a Python handler and package.json are both there",
        "dayfly deploy DIR --runtime python",
    );
    refused(
        &[("app.py", "def handler(e, c): pass\n"), ("pyproject.toml", "[project\n")],
        &any,
        "DIR/pyproject.toml is not TOML",
        "unclosed table, expected `]`",
        "${EDITOR:-vi} DIR/pyproject.toml",
    );
}

#[test]
fn node_projects() {
    let any = Wishes::default();
    check(
        &[("package.json", PACKAGE), ("index.js", "exports.handler = async () => 1\n")],
        &any,
        "index.handler",
        "package.json names index.js, which exports handler; no dependencies",
    );
    let recipe = check(
        &[
            (
                "package.json",
                r#"{"type":"module","engines":{"node":">=20"},"dependencies":{"a":"1"},"main":"./src/api.mjs"}"#,
            ),
            ("package-lock.json", "{}"),
            ("src/api.mjs", "export const handler = async () => 1\n"),
        ],
        &any,
        "src/api.handler",
        "package.json names src/api.mjs, which exports handler; dependencies pinned by package-lock.json",
    );
    assert!(
        recipe.accepts.is_some_and(|(range, _)| range.contains((22, 0, 0)) && !range.contains((18, 0, 0)))
    );
    check(
        &[("index.mjs", "export async function handler() {}\n")],
        &any,
        "index.handler",
        "index.mjs exports handler; no dependencies",
    );
    let built = check(
        &[("package.json", r#"{"main":"dist/index.js","scripts":{"build":"tsc"}}"#), ("src/index.ts", "")],
        &any,
        "dist/index.handler",
        "package.json names dist/index.js, which its build script makes; no dependencies",
    );
    assert!(matches!(built.kind, Kind::Node(_)));
    let recipe = check(
        &[
            ("package.json", r#"{"dependencies":{"a":"1"}}"#),
            ("app.js", "exports.handler = 1"),
            ("yarn.lock", ""),
        ],
        &any,
        "app.handler",
        "app.js exports handler; dependencies in package.json without a lock file",
    );
    assert_eq!(recipe.notes, ["yarn.lock is not used; npm picks versions from package.json"]);
    check(
        &[("package.json", PACKAGE), ("index.js", "exports.api = { get: f }")],
        &wishes("nodejs", "index.api.get"),
        "index.api.get",
        "index.js has the handler you named; no dependencies",
    );
}

#[test]
fn node_mistakes() {
    let any = Wishes::default();
    refused(
        &[("package.json", PACKAGE), ("index.js", "exports.main = f")],
        &any,
        "no handler was found",
        "index.js exports nothing named handler",
        "dayfly deploy DIR --handler index.yourFunction",
    );
    refused(
        &[("package.json", "{}")],
        &any,
        "no handler was found",
        "package.json names no main, and there is no index.js or index.mjs",
        "dayfly deploy DIR --handler file.function",
    );
    refused(
        &[("package.json", "{")],
        &any,
        "DIR/package.json is not JSON",
        "EOF while parsing an object at line 1 column 1",
        "${EDITOR:-vi} DIR/package.json",
    );
}

#[test]
fn compiled_projects() {
    let any = Wishes::default();
    check(&[("bootstrap", "#!/bin/sh\n"), ("app.py", "")], &any, "bootstrap", "bootstrap is a script");
    let cargo = "[package]\nname = 'hello'\n[[bin]]\nname = 'bootstrap'\npath = 'src/main.rs'\n";
    check(&[("Cargo.toml", cargo)], &any, "bootstrap", "Cargo.toml has a binary named bootstrap");
    let root = plant(&[("bootstrap", "#!/bin/sh\n"), ("other", "#!/bin/sh\n")]);
    assert!(recognise(&root.path().join("bootstrap"), &any).is_ok());
    assert!(recognise(&root.path().join("other"), &any).is_err());
    refused(
        &[("bootstrap", "MZ")],
        &any,
        "DIR/bootstrap cannot run on this platform",
        "it is a Windows program, not an ELF program or a script with #!",
        "file DIR/bootstrap",
    );
    refused(
        &[("Cargo.toml", "[package]\nname = 'hello'\n")],
        &any,
        "DIR/Cargo.toml makes no program named bootstrap",
        "the Runtime API starts a program of that name",
        "printf '\\n[[bin]]\\nname = \"bootstrap\"\\npath = \"src/main.rs\"\\n' >> DIR/Cargo.toml",
    );
}

#[test]
fn neither() {
    let root = plant(&[("README.md", "hello")]);
    let failure = recognise(root.path(), &Wishes::default()).expect_err("nothing is there");
    assert!(failure.what.starts_with("no function is recognised in"), "{failure:?}");
}

#[test]
fn names_from_directories() {
    let root = plant(&[("my shop (v2)/app.py", ""), ("plain/bootstrap", "")]);
    let check =
        |path: &str, name: &str| assert_eq!(default_name(&root.path().join(path)).as_deref(), Some(name));
    check("my shop (v2)", "my-shop--v2");
    check("plain", "plain");
    check("plain/bootstrap", "plain");
}
