//! What was learnt of executables, kept until they change: asking ten interpreters takes as long as ten cold starts.

use super::places::Candidate;
use crate::{Interpreter, bootstraps};
use model::Language;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use store::DataDir;

const FILE: &str = "interpreters.json";
const LANGUAGES: [(Language, &str); 3] =
    [(Language::Python, "python"), (Language::Node, "node"), (Language::Java, "java")];

/// By path.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeMap<PathBuf, Entry>);

/// One executable, as it was when it was asked.
#[derive(Debug)]
struct Entry {
    state: (u64, i64),
    /// `None`: not one that we serve.
    interpreter: Option<Interpreter>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    path: PathBuf,
    size: u64,
    modified_ns: i64,
    found: Option<Found>,
}

#[derive(Serialize, Deserialize)]
struct Found {
    language: String,
    version: (u16, u16, u16),
    prefix: PathBuf,
    needs: Vec<PathBuf>,
    bootstrap: String,
}

#[derive(Serialize, Deserialize)]
struct Table {
    /// Changes with our bootstraps, since interpreters have compiled them.
    key: String,
    rows: Vec<Row>,
}

impl Known {
    /// What an earlier start of the same version of this program learnt. A damaged file is no knowledge.
    pub(super) fn read(data: &DataDir) -> std::io::Result<Self> {
        let bytes = data.read(FILE)?.unwrap_or_default();
        let table = serde_json::from_slice::<Table>(&bytes).ok().filter(|table| table.key == key());
        let rows = table.map(|table| table.rows).unwrap_or_default();
        let there = |row: &Row| {
            let name = row.found.as_ref().map(|found| found.bootstrap.as_str());
            name.is_none_or(|name| data.path().join(bootstraps::FOLDER).join(name).is_file())
        };
        Ok(Self(rows.into_iter().filter(there).map(entry).collect()))
    }

    pub(super) fn write(&self, data: &DataDir) -> std::io::Result<()> {
        let table = Table { key: key(), rows: self.0.iter().map(row).collect() };
        let bytes = serde_json::to_vec_pretty(&table)?;
        data.write_atomic(FILE, &bytes, 0o600).map(|_| ())
    }

    /// What is known of a candidate; the inner `None`: that it cannot be used.
    pub(super) fn get(&self, candidate: &Candidate) -> Option<&Option<Interpreter>> {
        let entry = self.0.get(&candidate.path).filter(|entry| entry.state == candidate.state)?;
        Some(&entry.interpreter)
    }

    pub(super) fn learn(&mut self, candidate: &Candidate, interpreter: Option<Interpreter>) {
        self.0.insert(candidate.path.clone(), Entry { state: candidate.state, interpreter });
    }

    /// Forgets all others.
    pub(super) fn keep(&mut self, candidates: &[Candidate]) {
        self.0.retain(|path, _| candidates.iter().any(|candidate| candidate.path == *path));
    }
}

fn key() -> String {
    let mut hasher = DefaultHasher::new();
    (bootstraps::PYTHON, env!("CARGO_PKG_VERSION")).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn entry(row: Row) -> (PathBuf, Entry) {
    let interpreter = row.found.map(|found| Interpreter {
        language: LANGUAGES
            .iter()
            .find(|(_, name)| *name == found.language)
            .map_or(Language::Python, |(l, _)| *l),
        version: found.version,
        executable: row.path.clone(),
        prefix: found.prefix,
        needs: found.needs,
        bootstrap: found.bootstrap,
    });
    (row.path, Entry { state: (row.size, row.modified_ns), interpreter })
}

fn row((path, entry): (&PathBuf, &Entry)) -> Row {
    let found = entry.interpreter.as_ref().map(|interpreter| Found {
        language: LANGUAGES
            .iter()
            .find(|(language, _)| *language == interpreter.language)
            .map_or("python", |(_, name)| *name)
            .into(),
        version: interpreter.version,
        prefix: interpreter.prefix.clone(),
        needs: interpreter.needs.clone(),
        bootstrap: interpreter.bootstrap.clone(),
    });
    Row { path: path.clone(), size: entry.state.0, modified_ns: entry.state.1, found }
}
