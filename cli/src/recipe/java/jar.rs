//! Jars: zips of classes.

use super::HANDLERS;
use super::class::Class;
use crate::failure::Failure;
use crate::package::Package;
use crate::pasted;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use zip::ZipArchive;
use zip::result::ZipError;

const PACKAGE: &str = "com.amazonaws.services.lambda.runtime.";
/// AWS's own classes are nobody's handlers.
const FOREIGN: &str = "com/amazonaws/";

/// An opened jar.
pub struct Jar {
    path: PathBuf,
    archive: ZipArchive<File>,
}

/// What its classes are.
#[derive(Debug, Default)]
pub struct Classes {
    /// How many.
    pub count: usize,
    /// Full names of those that implement a handler's interface, sorted.
    pub handlers: Vec<String>,
    /// The oldest Java that runs all handlers.
    pub java: Option<u16>,
}

impl Jar {
    /// Opens one.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| unreadable(path, &error.to_string()))?;
        let archive = ZipArchive::new(file).map_err(|error| unreadable(path, &error.to_string()))?;
        Ok(Self { path: path.to_owned(), archive })
    }

    /// Calls `each` with every file.
    fn visit(&mut self, mut each: impl FnMut(String, Vec<u8>) -> Result<(), Failure>) -> Result<(), Failure> {
        let allowed = model::limit("unzipped-bytes");
        let mut total = 0;
        for index in 0..self.archive.len() {
            let wrong = |error: ZipError| unreadable(&self.path, &error.to_string());
            let entry = self.archive.by_index(index).map_err(wrong)?;
            if entry.is_dir() {
                continue;
            }
            let name = entry.name().map_err(wrong)?.into_owned();
            let mut bytes = Vec::new();
            let read = entry.take(allowed - total + 1).read_to_end(&mut bytes);
            total += read.map_err(|error| unreadable(&self.path, &error.to_string()))? as u64;
            if total > allowed {
                let why = format!("it has more than {allowed} bytes when unpacked (limit unzipped-bytes)");
                return Err(unreadable(&self.path, &why));
            }
            each(name, bytes)?;
        }
        Ok(())
    }

    /// Looks at all classes but AWS's.
    pub fn handlers(mut self) -> Result<Classes, Failure> {
        let mut classes = Classes::default();
        self.visit(|name, bytes| {
            let own =
                name.ends_with(".class") && !name.starts_with(FOREIGN) && !name.starts_with("META-INF/");
            if let Some(class) = own.then(|| Class::read(&bytes)).flatten() {
                classes.count += 1;
                let is_handler =
                    |name: &String| name.strip_prefix(PACKAGE).is_some_and(|name| HANDLERS.contains(&name));
                if class.concrete && class.interfaces.iter().any(is_handler) {
                    classes.java = classes.java.max(Some(class.java));
                    classes.handlers.push(class.name);
                }
            }
            Ok(())
        })?;
        classes.handlers.sort();
        Ok(classes)
    }

    /// Its files as a package: what is built twice from the same sources is the same.
    pub fn package(mut self) -> Result<Package, Failure> {
        let mut package = Package::default();
        self.visit(|name, bytes| {
            let bytes = if name.ends_with("/pom.properties") { without_time(&bytes) } else { bytes };
            package.add_bytes(name, bytes);
            Ok(())
        })?;
        Ok(package)
    }
}

/// Maven writes the time of the build into a comment.
fn without_time(properties: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(properties);
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| [line, "\n"])
        .collect::<String>()
        .into_bytes()
}

fn unreadable(path: &Path, why: &str) -> Failure {
    Failure::usage(
        format!("{} cannot be deployed", path.display()),
        why.to_owned(),
        format!("unzip -l {}", pasted::path(path)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::java::class::sample;
    use std::io::Write as _;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    fn jar(files: &[(&str, &[u8])]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("x.jar");
        let mut writer = ZipWriter::new(File::create(&path).expect("made"));
        for (name, bytes) in files {
            writer.start_file(*name, SimpleFileOptions::default()).expect("started");
            writer.write_all(bytes).expect("written");
        }
        writer.finish().expect("finished");
        (folder, path)
    }

    #[test]
    fn handlers_are_found_by_their_interfaces() {
        let handler = "com/amazonaws/services/lambda/runtime/RequestHandler";
        let stream = "com/amazonaws/services/lambda/runtime/RequestStreamHandler";
        let (_folder, path) = jar(&[
            ("a/Hello.class", &sample("a/Hello", &[handler], 1, 17)),
            ("a/Bytes.class", &sample("a/Bytes", &[stream], 1, 21)),
            ("a/Base.class", &sample("a/Base", &[handler], 0x401, 25)),
            ("a/Other.class", &sample("a/Other", &["a/RequestHandler"], 1, 25)),
            ("com/amazonaws/X.class", &sample("com/amazonaws/X", &[handler], 1, 25)),
            ("a/text", b"x"),
        ]);
        let classes = Jar::open(&path).expect("opened").handlers().expect("read");
        assert_eq!((classes.count, classes.java), (4, Some(21)));
        assert_eq!(classes.handlers, ["a.Bytes", "a.Hello"]);
    }

    #[test]
    fn the_time_of_the_build_is_no_part_of_the_package() {
        let zipped = |properties: &[u8]| {
            let (_folder, path) = jar(&[("META-INF/maven/g/a/pom.properties", properties), ("data", b"1")]);
            let package = Jar::open(&path).expect("opened").package().expect("packed");
            assert_eq!(package.len(), 2);
            package.zip(Path::new(".")).expect("zipped").sha256
        };
        assert_eq!(zipped(b"#Mon\nversion=1\n"), zipped(b"#Tue\nversion=1\n"));
        assert_ne!(zipped(b"#Mon\nversion=1\n"), zipped(b"#Mon\nversion=2\n"));
    }

    #[test]
    fn what_is_no_jar_is_refused() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("x.jar");
        std::fs::write(&path, "hello").expect("written");
        assert!(Jar::open(&path).is_err());
    }
}
