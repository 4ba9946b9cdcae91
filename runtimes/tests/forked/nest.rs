//! Templates of one Node, and their copies.

use crate::case::Case;
use crate::run::{Process, Subject, variables};
use model::Call;
use runtimes::{Bind, Channel, Event, Runtimes, node};
use sandbox::{Launcher, Sandbox, Spec, Template};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::DataDir;
use tempfile::TempDir;

pub const TASK: &str = "/var/task";
const PROGRAM: &str = "/opt/interpreter";
const PATIENCE: Duration = Duration::from_secs(60);

/// One Node and what its processes need.
pub struct Nest<'a> {
    pub launcher: &'a Launcher,
    binds: Vec<Bind>,
    home: TempDir,
}

impl<'a> Nest<'a> {
    pub async fn new(launcher: &'a Launcher, program: &Path) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let data = DataDir::open(&home.path().join("data")).unwrap();
        Runtimes::discover(launcher, &data).await.unwrap();
        let binds = vec![
            Bind { host: data.path().join("runtime"), guest: "/var/runtime".into() },
            Bind { host: program.into(), guest: PROGRAM.into() },
        ];
        Self { launcher, binds, home }
    }

    /// A package of one file.
    pub fn package(&self, name: &str, text: &str) -> PathBuf {
        let folder = self.home.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(folder.join("index.js"), text).unwrap();
        folder
    }

    pub fn spec(&self, package: Option<&Path>, memory_mb: u64) -> Spec {
        let task = package.map(|host| Bind { host: host.into(), guest: TASK.into() });
        Spec {
            id: "forked".into(),
            workdir: "/".into(),
            binds: self.binds.iter().cloned().chain(task).collect(),
            tmp_bytes: 8 << 20,
            memory_bytes: memory_mb << 20,
            cpu_millis: 2000,
            pids: 256,
            ..Spec::default()
        }
    }

    fn argv(flags: &[String], mode: Option<&str>) -> Vec<String> {
        let argv = [PROGRAM.to_owned()].into_iter().chain(flags.iter().cloned());
        argv.chain(["/var/runtime/bootstrap.cjs".to_owned()]).chain(mode.map(str::to_owned)).collect()
    }

    /// A template of any function.
    pub async fn template(&self) -> Result<Template, String> {
        let flags: Vec<String> =
            node::FORK_FLAGS.iter().chain(&node::FORK_HEAP_FLAGS).map(|flag| (*flag).to_owned()).collect();
        let env = vec![("TZ".into(), ":UTC".into()), ("LANG".into(), "en_US.UTF-8".into())];
        let spec = Spec { argv: Self::argv(&flags, Some("template")), env, ..self.spec(None, 512) };
        self.ready(spec).await
    }

    /// A template of one function.
    pub async fn function(&self, package: &Path, memory_mb: u64) -> Result<Template, String> {
        let flags = Self::function_flags(memory_mb, &node::FORK_FLAGS);
        let env = self.env(memory_mb, "template");
        let spec = Spec { argv: Self::argv(&flags, Some("function")), env, ..self.spec(Some(package), 512) };
        self.ready(spec).await
    }

    async fn ready(&self, spec: Spec) -> Result<Template, String> {
        let template = self.launcher.template(spec.clone(), &spec, 1).await.expect("a template");
        let ready = tokio::time::timeout(PATIENCE, template.ready()).await.expect("it says something");
        ready.map(|()| template)
    }

    /// A process of its own.
    pub async fn spawn(&self, package: &Path, memory_mb: u64) -> Instance {
        let flags = Self::function_flags(memory_mb, &[]);
        let spec = Spec {
            argv: Self::argv(&flags, None),
            env: self.env(memory_mb, "spawned"),
            workdir: TASK.into(),
            control: true,
            ..self.spec(Some(package), memory_mb)
        };
        Instance::of(self.launcher.create(spec).await.expect("an instance"))
    }

    /// A process of its own that waits to be told its environment.
    pub async fn waiting(&self, package: &Path, memory_mb: u64) -> Instance {
        let argv = Self::argv(&Self::function_flags(memory_mb, &[]), Some("wait"));
        let spec = Spec { argv, control: true, ..self.spec(Some(package), memory_mb) };
        let instance = Instance::of(self.launcher.create(spec).await.expect("an instance"));
        runtimes::waits(&instance.control).await.expect("it waits");
        instance
    }

    /// A copy that is told its environment at once.
    pub async fn fork(&self, template: &Template, package: &Path, memory_mb: u64, name: &str) -> Instance {
        let spec = self.spec(Some(package), memory_mb);
        let mut instance = Instance::of(self.launcher.fork(template, spec).await.expect("a copy"));
        instance.load(&self.env(memory_mb, name));
        instance
    }

    fn function_flags(memory_mb: u64, more: &[&str]) -> Vec<String> {
        let heap = [
            format!("--max-old-space-size={}", memory_mb * 90 / 100),
            format!("--max-semi-space-size={}", (memory_mb * 5 / 100).max(1)),
        ];
        more.iter().map(|flag| (*flag).to_owned()).chain(heap).collect()
    }

    pub fn env(&self, memory_mb: u64, name: &str) -> Vec<(String, String)> {
        let mut env = variables(&Case { name: "", ..Case::NODE }, TASK);
        for (variable, value) in &mut env {
            match variable.as_str() {
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE" => *value = memory_mb.to_string(),
                "AWS_LAMBDA_LOG_STREAM_NAME" => *value = name.to_owned(),
                _ => {}
            }
        }
        env.push(("AWS_ACCESS_KEY_ID".into(), format!("key of {name}")));
        env
    }
}

/// An instance, asked event by event.
pub struct Instance {
    pub sandbox: Box<Sandbox>,
    control: std::os::unix::net::UnixStream,
    channel: Option<Channel>,
}

impl Instance {
    pub fn of(mut sandbox: Sandbox) -> Self {
        let control = sandbox.control.take().expect("it has one");
        Self { sandbox: Box::new(sandbox), control, channel: None }
    }

    /// Tells it its environment.
    pub fn load(&mut self, env: &[(String, String)]) {
        self.control.write_all(&load(env)).unwrap();
    }

    /// The next thing it says that is no log line.
    pub async fn next(&mut self) -> Event {
        let control = &self.control;
        let channel =
            self.channel.get_or_insert_with(|| Channel::framed(control.try_clone().unwrap(), 1).unwrap());
        loop {
            match tokio::time::timeout(PATIENCE, channel.next()).await.expect("it says something") {
                Event::Log { .. } => {}
                event => return event,
            }
        }
    }

    pub async fn expect_ready(&mut self) {
        let event = self.next().await;
        assert!(matches!(event, Event::Ready), "{event:?}");
    }

    /// What comes of an event.
    pub async fn ask(&mut self, event: &str) -> Event {
        let call = Call {
            request_id: "00000000-0000-4000-8000-000000000000".into(),
            payload: event.to_owned().into(),
            invoked_arn: "arn".into(),
            ..Call::default()
        };
        let channel = self.channel.as_mut().expect("it has said that it is ready");
        channel.send(&call, crate::run::DEADLINE_MS).await.unwrap();
        self.next().await
    }

    /// What it answers.
    pub async fn answer(&mut self, event: &str) -> serde_json::Value {
        match self.ask(event).await {
            Event::Response { body, .. } => serde_json::from_slice(&body).unwrap(),
            other => panic!("{event}: {other:?}"),
        }
    }
}

fn load(env: &[(String, String)]) -> Vec<u8> {
    let env: serde_json::Map<String, serde_json::Value> =
        env.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let text = serde_json::json!({ "env": env }).to_string();
    let mut frame = u32::try_from(text.len()).unwrap().to_le_bytes().to_vec();
    frame.push(2);
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// Copies of one template as the subject of cases.
pub struct Copies<'a> {
    nest: &'a Nest<'a>,
    template: Template,
}

impl<'a> Copies<'a> {
    pub async fn of(nest: &'a Nest<'a>) -> Self {
        Self { nest, template: nest.template().await.expect("this Node can be forked") }
    }
}

impl Subject for Copies<'_> {
    async fn start(&self, case: &Case, folder: &Path) -> (Process, Channel) {
        let spec = self.nest.spec(Some(folder), 256);
        let mut sandbox = self.nest.launcher.fork(&self.template, spec).await.expect("a copy");
        let mut control = sandbox.control.take().expect("it has one");
        control.write_all(&load(&variables(case, TASK))).unwrap();
        (Process::Sandbox(Box::new(sandbox)), Channel::framed(control, 1).unwrap())
    }

    fn task(&self, _folder: &Path) -> String {
        TASK.to_owned()
    }
}
