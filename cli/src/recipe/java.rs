//! Java: a Maven project, or a jar that was built elsewhere.

mod class;
mod jar;

use super::{Bench, Kind, Recipe, Wishes, absolute, read};
use crate::failure::Failure;
use crate::package::Package;
use crate::pasted;
use crate::range::Range;
use crate::tool::{self, Tool};
use crate::tree::Found;
use jar::Jar;
use model::Language;
use std::path::{Path, PathBuf};

const POM: &str = "pom.xml";
/// Interfaces whose classes are handlers.
const HANDLERS: [&str; 2] = ["RequestHandler", "RequestStreamHandler"];
/// Plugins that put dependencies into the jar.
const BUNDLERS: [&str; 3] = ["maven-shade-plugin", "maven-assembly-plugin", "spring-boot-maven-plugin"];
/// Where a project says which Java it is for.
const RELEASES: [&str; 4] = ["maven.compiler.release", "maven.compiler.target", "java.version", "release"];
/// Most source files that are searched for a handler.
const MAX_SOURCES: usize = 5000;

/// A Java project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Java {
    /// A directory with `pom.xml`; whether its jar holds its dependencies.
    Maven {
        /// The directory.
        directory: PathBuf,
        /// The build makes one jar of everything.
        bundled: bool,
    },
    /// A jar, or a zip of classes and jars.
    Archive(PathBuf),
}

/// Whether a file can be deployed as Java.
pub fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "jar" || extension == "zip")
}

/// Recognises a Maven project. `Ok(None)`: there is no `pom.xml`.
pub fn recognise(directory: &Path, wishes: &Wishes) -> Result<Option<Recipe>, Failure> {
    let Some(pom) = read(&directory.join(POM))? else { return Ok(None) };
    let found = sources(&directory.join("src/main/java"));
    let (handler, place) = match &wishes.handler {
        Some(handler) => (handler.clone(), "the handler you named".to_owned()),
        None => {
            let handler = only(&found, directory)?;
            (handler.clone(), format!("{handler} is a handler"))
        }
    };
    let bundled = BUNDLERS.iter().any(|plugin| pom.contains(plugin));
    let dependencies = if bundled { "one jar of everything" } else { "dependencies beside it in lib" };
    Ok(Some(Recipe {
        language: Language::Java,
        handler,
        why: format!("{POM}; {place}; {dependencies}"),
        accepts: release(&pom).and_then(at_least).map(|range| (range, POM)),
        notes: Vec::new(),
        kind: Kind::Java(Java::Maven { directory: directory.to_owned(), bundled }),
    }))
}

/// Recognises a jar by the classes in it.
pub fn from_file(path: &Path, wishes: &Wishes) -> Result<Recipe, Failure> {
    let jar = Jar::open(path)?;
    let classes = jar.handlers()?;
    let (handler, place) = match &wishes.handler {
        Some(handler) => (handler.clone(), "the handler you named".to_owned()),
        None => {
            let handler = only(&classes.handlers, path)?;
            (handler.clone(), format!("{handler} is a handler"))
        }
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Recipe {
        language: Language::Java,
        handler,
        why: format!("{name} has {} classes; {place}", classes.count),
        accepts: classes.java.and_then(at_least).map(|range| (range, "its classes")),
        notes: Vec::new(),
        kind: Kind::Java(Java::Archive(path.to_owned())),
    })
}

fn only<'a>(found: &'a [String], place: &Path) -> Result<&'a String, Failure> {
    let hint = |handler: &str| format!("dayfly deploy {} --handler {handler}", pasted::path(place));
    match found {
        [one] => Ok(one),
        [] => Err(Failure::usage(
            "no handler was found",
            format!("no class in {} implements RequestHandler or RequestStreamHandler", place.display()),
            hint("your.package.YourClass::yourMethod"),
        )),
        [first, ..] => {
            let why = format!("{} are handlers", found.join(", "));
            Err(Failure::usage(format!("{} has several handlers", place.display()), why, hint(first)))
        }
    }
}

fn at_least(major: u16) -> Option<Range> {
    Range::npm(&format!(">={major}"))
}

/// The Java that a `pom.xml` compiles for, where it says so in numbers.
fn release(pom: &str) -> Option<u16> {
    let value = |name: &&str| {
        let (_, rest) = pom.split_once(&format!("<{name}>"))?;
        rest.split_once('<')?.0.trim().parse::<u16>().ok()
    };
    RELEASES.iter().find_map(value)
}

/// The classes below a folder of sources that implement a handler's interface, by what their text says.
fn sources(root: &Path) -> Vec<String> {
    let mut folders = vec![root.to_owned()];
    let (mut found, mut seen) = (Vec::new(), 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            seen += 1;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if seen < MAX_SOURCES && path.extension().is_some_and(|extension| extension == "java") {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                found.extend(path.file_stem().and_then(|name| handler(&text, &name.to_string_lossy())));
            }
        }
    }
    found.sort();
    found
}

/// The full name of the class that a source file is named after, if it is a handler.
fn handler(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("class {name}"))?;
    let head = rest.split('{').next()?;
    let (_, interfaces) = head.split_once("implements")?;
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut words = interfaces.split(|c: char| !is_name(c));
    words.any(|word| HANDLERS.contains(&word)).then_some(())?;
    let package = text.lines().find_map(|line| line.trim().strip_prefix("package ")?.split(';').next());
    Some(package.map_or_else(|| name.to_owned(), |package| format!("{}.{name}", package.trim())))
}

impl Java {
    pub(super) fn build(&self, bench: &Bench<'_>) -> Result<Package, Failure> {
        match self {
            Self::Archive(path) => Jar::open(path)?.package(),
            Self::Maven { directory, bundled } => {
                let maven = tool::find("mvn");
                if let Some(maven) = &maven {
                    run(maven, directory, bench, &["package"])?;
                } else {
                    bench.screen.warn("mvn was not found on this machine; target/ is taken as it is");
                }
                let mut package = Jar::open(&built(directory)?)?.package()?;
                if let Some(maven) = maven.filter(|_| !bundled) {
                    package.add(dependencies(&maven, directory, bench)?)?;
                }
                Ok(package)
            }
        }
    }
}

fn run(maven: &Path, directory: &Path, bench: &Bench<'_>, goals: &[&str]) -> Result<(), Failure> {
    let words = format!("mvn {}", goals[0]);
    let phase = bench.screen.phase("build", words.as_str());
    let arguments = ["--batch-mode", "--quiet"].iter().chain(goals).copied();
    let ran = Tool::new(maven, &absolute(directory)).args(arguments).run(&phase)?;
    if !ran.success {
        bench.screen.note(ran.tail().trim_end());
        let manual = format!("mvn --file {} {}", pasted::path(&directory.join(POM)), goals.join(" "));
        return Err(Failure::new("the Java project does not build", reason(&ran.lines), manual));
    }
    phase.done(words);
    Ok(())
}

/// Maven begins with the reason and ends with advice.
fn reason(lines: &[String]) -> String {
    let errors = lines.iter().filter_map(|line| line.strip_prefix("[ERROR] "));
    let mut told =
        errors.map(str::trim).filter(|text| !text.is_empty() && !text.starts_with("COMPILATION ERROR"));
    told.next().unwrap_or("mvn printed no error").to_owned()
}

/// The jar that a build left: never its sources or documentation, and of several the largest.
fn built(directory: &Path) -> Result<PathBuf, Failure> {
    let target = directory.join("target");
    let is_product = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let aside = ["-sources.jar", "-javadoc.jar", "-tests.jar", "-test-sources.jar"];
        name.ends_with(".jar")
            && !name.starts_with("original-")
            && !aside.iter().any(|end| name.ends_with(end))
    };
    let entries = std::fs::read_dir(&target).into_iter().flatten().flatten();
    let jars = entries.map(|entry| entry.path()).filter(is_product);
    jars.max_by_key(|path| path.metadata().map_or(0, |about| about.len())).ok_or_else(|| {
        Failure::new(
            "the Java project has no jar",
            format!("{} holds none", target.display()),
            format!("mvn --file {} package", pasted::path(&directory.join(POM))),
        )
    })
}

/// What the project needs at run time, each jar in `lib`.
fn dependencies(maven: &Path, directory: &Path, bench: &Bench<'_>) -> Result<Vec<Found>, Failure> {
    let folder = absolute(directory).join("target/dayfly-lib");
    let _ = std::fs::remove_dir_all(&folder);
    let out = format!("-DoutputDirectory={}", folder.display());
    run(maven, directory, bench, &["dependency:copy-dependencies", "-DincludeScope=runtime", &out])?;
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let found = entries.map(|entry| {
        let name = format!("lib/{}", entry.file_name().to_string_lossy());
        Found { name, path: entry.path() }
    });
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_by_their_source() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(handler(text, "Hello").as_deref(), expected, "{text}");
        };
        check(
            "package a.b;\nimport x;\npublic class Hello implements RequestHandler<Map<String, A>, B> {\n}",
            Some("a.b.Hello"),
        );
        check(
            "package a ;\nclass Hello extends Base\n  implements Other, com.x.RequestStreamHandler\n{",
            Some("a.Hello"),
        );
        check("class Hello implements RequestHandlers {", None);
        check("class Hello { class Inner implements RequestHandler {} }", None);
        check("class Other implements RequestHandler {", None);
        check("public final class Hello implements RequestHandler<A, B> {", Some("Hello"));
    }

    #[test]
    fn which_java_a_project_is_for() {
        let check = |pom: &str, expected| assert_eq!(release(pom), expected, "{pom}");
        check("<properties><maven.compiler.release>21</maven.compiler.release>", Some(21));
        check("<configuration><release> 17 </release></configuration>", Some(17));
        check(
            "<maven.compiler.target>${java}</maven.compiler.target><java.version>25</java.version>",
            Some(25),
        );
        check("<maven.compiler.source>17</maven.compiler.source>", None);
    }

    #[test]
    fn what_maven_says() {
        let lines = [
            "[ERROR] COMPILATION ERROR : ",
            "[ERROR] /x/Hello.java:[3,1] class expected",
            "[ERROR] -> [Help 1]",
        ];
        assert_eq!(reason(&lines.map(String::from)), "/x/Hello.java:[3,1] class expected");
        assert_eq!(reason(&[]), "mvn printed no error");
    }
}
