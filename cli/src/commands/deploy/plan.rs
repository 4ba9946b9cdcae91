//! What a deployment changes.

use super::choose::Choice;
use super::order::Order;
use crate::api::lambda::Configuration;
use crate::recipe::Recipe;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What the function shall be. `None`: as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    /// Runtime identifier.
    pub runtime: String,
    /// What to call.
    pub handler: String,
    /// Role ARN.
    pub role: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Mebibytes.
    pub memory: Option<u32>,
    /// Seconds.
    pub timeout: Option<u32>,
    /// Mebibytes of `/tmp`.
    pub tmp: Option<u32>,
    /// Calls at once in one instance.
    pub instance_concurrency: Option<u32>,
    /// The ARN by which the machine is named where an instance serves several calls.
    pub machine: String,
    /// Whether instances are forked from a process that has loaded the code.
    pub snapstart: Option<bool>,
    /// All variables.
    pub environment: Option<BTreeMap<String, String>>,
}

/// One setting that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The member of `UpdateFunctionConfiguration`.
    pub member: &'static str,
    /// Its new value.
    pub value: Value,
    /// For the user. Never shows the value of a variable: it may be a secret.
    pub words: String,
}

impl Desired {
    /// Joins what the user said with what the project is.
    pub fn new(order: &Order, recipe: &Recipe, choice: &Choice, present: Option<&Configuration>) -> Self {
        let settings = &order.settings;
        Self {
            runtime: choice.runtime.identifier.clone(),
            handler: recipe.handler.clone(),
            role: settings.role.clone(),
            description: settings.description.clone(),
            memory: settings.memory,
            timeout: settings.timeout,
            tmp: settings.tmp,
            instance_concurrency: settings.instance_concurrency,
            machine: String::new(),
            snapstart: settings.snapstart,
            environment: order.environment(present.map(|present| &present.environment.variables)),
        }
    }

    /// The body of CreateFunction.
    pub fn create(&self, name: &str, account: &str, zip: &str) -> Value {
        let none = Configuration::default();
        let role = || format!("arn:aws:iam::{account}:role/{name}");
        let mut body = self.update(&self.changes(&none));
        body["FunctionName"] = json!(name);
        body["Role"] = json!(self.role.clone().unwrap_or_else(role));
        body["Code"] = json!({ "ZipFile": zip });
        body
    }

    /// The body of UpdateFunctionConfiguration.
    pub fn update(&self, changes: &[Change]) -> Value {
        let members: Map<String, Value> =
            changes.iter().map(|change| (change.member.to_owned(), change.value.clone())).collect();
        Value::Object(members)
    }

    /// What differs from `present`.
    pub fn changes(&self, present: &Configuration) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut text = |member, name: &str, before: &str, after: Option<&String>| {
            if let Some(after) = after.filter(|after| *after != before) {
                let words = format!("{name} {before} → {after}");
                changes.push(Change { member, value: json!(after), words });
            }
        };
        text("Runtime", "runtime", &present.runtime, Some(&self.runtime));
        text("Handler", "handler", &present.handler, Some(&self.handler));
        text("Role", "role", &present.role, self.role.as_ref());
        text("Description", "description", &present.description, self.description.as_ref());
        let mut number = |member, name: &str, unit: &str, before: u32, after: Option<u32>| {
            if let Some(after) = after.filter(|after| *after != before) {
                let words = format!("{name} {before} → {after} {unit}");
                changes.push(Change { member, value: json!(after), words });
            }
        };
        number("MemorySize", "memory", "MB", present.memory_size, self.memory);
        number("Timeout", "timeout", "s", present.timeout, self.timeout);
        if let Some(tmp) = self.tmp.filter(|tmp| *tmp != present.ephemeral_storage.size) {
            let words = format!("/tmp {} → {tmp} MB", present.ephemeral_storage.size);
            changes.push(Change { member: "EphemeralStorage", value: json!({ "Size": tmp }), words });
        }
        let before = present.capacity_provider_config.at_once();
        if let Some(calls) = self.instance_concurrency.filter(|calls| *calls != before) {
            let words = format!("calls at once in one instance {before} → {calls}");
            let value = json!({ "LambdaManagedInstancesCapacityProviderConfig": {
                "CapacityProviderArn": self.machine,
                "PerExecutionEnvironmentMaxConcurrency": calls,
            } });
            changes.push(Change { member: "CapacityProviderConfig", value, words });
        }
        if let Some(on) = self.snapstart.filter(|on| *on != present.snap_start.is_on()) {
            let name = |on| if on { "on" } else { "off" };
            let words = format!("snapstart {} → {}", name(!on), name(on));
            let apply_on = if on { "PublishedVersions" } else { "None" };
            changes.push(Change { member: "SnapStart", value: json!({ "ApplyOn": apply_on }), words });
        }
        if let Some(environment) = &self.environment
            && *environment != present.environment.variables
        {
            let words = format!("environment {}", difference(&present.environment.variables, environment));
            changes.push(Change { member: "Environment", value: json!({ "Variables": environment }), words });
        }
        changes
    }
}

/// `+ADDED ~CHANGED -REMOVED`.
fn difference(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> String {
    let set = after.iter().filter_map(|(key, value)| match before.get(key) {
        None => Some(format!("+{key}")),
        Some(old) if old != value => Some(format!("~{key}")),
        Some(_) => None,
    });
    let removed = before.keys().filter(|key| !after.contains_key(*key)).map(|key| format!("-{key}"));
    set.chain(removed).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::lambda::{Storage, Variables};

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn present() -> Configuration {
        Configuration {
            runtime: "python3.11".into(),
            handler: "app.handler".into(),
            role: "r".into(),
            memory_size: 128,
            timeout: 3,
            ephemeral_storage: Storage { size: 512 },
            environment: Variables { variables: map(&[("A", "1"), ("B", "2")]) },
            ..Configuration::default()
        }
    }

    fn same() -> Desired {
        Desired { runtime: "python3.11".into(), handler: "app.handler".into(), ..Desired::default() }
    }

    #[test]
    fn what_differs() {
        let check = |desired: Desired, words: &[&str]| {
            let changes = desired.changes(&present());
            assert_eq!(changes.iter().map(|change| change.words.as_str()).collect::<Vec<_>>(), words);
        };
        check(same(), &[]);
        check(Desired { memory: Some(128), timeout: Some(3), tmp: Some(512), ..same() }, &[]);
        check(Desired { environment: Some(map(&[("A", "1"), ("B", "2")])), ..same() }, &[]);
        check(
            Desired { memory: Some(256), tmp: Some(1024), handler: "app.main".into(), ..same() },
            &["handler app.handler → app.main", "memory 128 → 256 MB", "/tmp 512 → 1024 MB"],
        );
        check(Desired { instance_concurrency: Some(1), ..same() }, &[]);
        let many = Desired { instance_concurrency: Some(8), machine: "arn".into(), ..same() };
        let expected = json!({ "LambdaManagedInstancesCapacityProviderConfig": {
            "CapacityProviderArn": "arn", "PerExecutionEnvironmentMaxConcurrency": 8,
        } });
        assert_eq!(many.changes(&present())[0].value, expected);
        check(many, &["calls at once in one instance 1 → 8"]);
        check(
            Desired { environment: Some(map(&[("A", "9"), ("C", "secret")])), ..same() },
            &["environment ~A +C -B"],
        );
    }

    #[test]
    fn a_new_function_gets_all_of_it() {
        let body = Desired { timeout: Some(10), ..same() }.create("hello", "000000000000", "emlw");
        assert_eq!(
            body,
            json!({
                "Runtime": "python3.11",
                "Handler": "app.handler",
                "Timeout": 10,
                "FunctionName": "hello",
                "Role": "arn:aws:iam::000000000000:role/hello",
                "Code": { "ZipFile": "emlw" },
            })
        );
    }
}
