//! Rows as the API shows them.

use crate::catalog::Entry;
use crate::rows::{Config, Cors, FunctionRow, UrlAuth, UrlRow};
use crate::rules::ARCHITECTURE;
use crate::{Functions, FunctionsError, sharing, time};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use invoke::Snapshot;
use model::{FunctionAddress, FunctionName, LATEST};
use wire::lambda::{
    self, EnvironmentResponse, EphemeralStorage, FunctionConfiguration, FunctionUrlAuthType,
    FunctionUrlConfig, InvokeMode, LastUpdateStatus, LogFormat, LoggingConfig, PackageType, Runtime,
    RuntimeVersionConfig, SnapStartApplyOn, SnapStartOptimizationStatus, SnapStartResponse, State,
    StateReasonCode, TracingConfigResponse, TracingMode,
};

impl Functions {
    /// A function or a version as the client addressed it, with its state. It is never between two states: whoever
    /// can see a change sees it whole. A published version alone waits for its snapshot.
    pub(crate) fn shown(&self, entry: &Entry, address: &FunctionAddress) -> FunctionConfiguration {
        let mut shown = self.listed(entry, address.qualifier.as_deref());
        (shown.state, shown.state_reason, shown.state_reason_code) = self.state(entry);
        shown.last_update_status = Some(LastUpdateStatus::Successful);
        shown.runtime_version_config =
            Some(RuntimeVersionConfig { runtime_version_arn: Some(self.runtime_arn(entry)), error: None });
        shown
    }

    fn state(&self, entry: &Entry) -> (Option<State>, Option<String>, Option<StateReasonCode>) {
        let version = &entry.version;
        if let Some(damage) = &entry.damage {
            return (Some(State::Failed), Some(damage.clone()), Some(StateReasonCode::InternalError));
        }
        if self.is_pending(version) {
            let why = "The function is being created.".to_owned();
            return (Some(State::Pending), Some(why), Some(StateReasonCode::Creating));
        }
        let reason = match self.snapshot(entry) {
            Some(Snapshot::Missing(why)) if version.version != LATEST => {
                Some(format!("SnapStart: instances start without a snapshot: {why}"))
            }
            _ => None,
        };
        (Some(State::Active), reason, None)
    }

    /// What there is of the snapshot that its owner has asked for.
    fn snapshot(&self, entry: &Entry) -> Option<Snapshot> {
        entry.row.config.snapstart.then(|| self.runner().snapshot(&entry.version))
    }

    /// Which runtime serves the function. AWS names a build of its own here; builds of this machine have no number.
    fn runtime_arn(&self, entry: &Entry) -> String {
        format!("arn:aws:lambda:{}::runtime:{}", self.place().region, entry.row.config.runtime)
    }

    /// A function as lists show it: without its state and its runtime's version.
    pub(crate) fn listed(&self, entry: &Entry, qualifier: Option<&str>) -> FunctionConfiguration {
        let FunctionRow { config, code, revision, modified_us, .. } = &entry.row;
        let name = &entry.version.function;
        FunctionConfiguration {
            function_name: Some(name.to_string()),
            function_arn: Some(self.place().function_arn(name, qualifier)),
            version: Some(entry.version.version.clone()),
            code_size: i64::try_from(code.zip_bytes).ok(),
            code_sha256: Some(base64_of_hex(&code.sha256)),
            revision_id: Some(revision.clone()),
            last_modified: Some(time::modified(*modified_us)),
            snap_start: Some(snap_start(config.snapstart, self.snapshot(entry) == Some(Snapshot::Ready))),
            ..configured(config, name)
        }
    }

    /// The address of a function's URL.
    pub(crate) fn url_text(&self, url: &UrlRow) -> String {
        format!("http://{}.{}/", url.id, self.settings().url_authority)
    }

    /// A function's URL as lists show it.
    pub(crate) fn url_shown(&self, name: &FunctionName, url: &UrlRow) -> FunctionUrlConfig {
        FunctionUrlConfig {
            function_url: self.url_text(url),
            function_arn: self.place().function_arn(name, None),
            creation_time: time::iso(url.created_us),
            last_modified_time: time::iso(url.modified_us),
            cors: url.cors.clone().map(Into::into),
            auth_type: url.auth.into(),
            invoke_mode: Some(InvokeMode::Buffered),
        }
    }
}

fn configured(config: &Config, name: &FunctionName) -> FunctionConfiguration {
    let whole = |value: u32| i32::try_from(value).ok();
    let environment = (!config.environment.is_empty())
        .then(|| EnvironmentResponse { variables: Some(config.environment.clone()), error: None });
    FunctionConfiguration {
        runtime: Runtime::parse(&config.runtime),
        role: Some(config.role.clone()),
        handler: Some(config.handler.clone()),
        description: Some(config.description.clone()),
        timeout: whole(config.timeout_s),
        memory_size: whole(config.memory_mb),
        environment,
        tracing_config: Some(TracingConfigResponse { mode: Some(TracingMode::PassThrough) }),
        package_type: Some(PackageType::Zip),
        architectures: Some(vec![ARCHITECTURE]),
        ephemeral_storage: whole(config.tmp_mb).map(|size| EphemeralStorage { size }),
        logging_config: Some(LoggingConfig {
            log_format: Some(LogFormat::Text),
            log_group: Some(config.log_group(name)),
            ..LoggingConfig::default()
        }),
        capacity_provider_config: config.sharing.as_ref().map(sharing::shown),
        ..FunctionConfiguration::default()
    }
}

fn snap_start(asked: bool, ready: bool) -> SnapStartResponse {
    SnapStartResponse {
        apply_on: Some(match asked {
            true => SnapStartApplyOn::PublishedVersions,
            false => SnapStartApplyOn::None,
        }),
        optimization_status: Some(match ready {
            true => SnapStartOptimizationStatus::On,
            false => SnapStartOptimizationStatus::Off,
        }),
    }
}

/// Hashes are kept in hexadecimal digits and shown in base 64.
pub(crate) fn base64_of_hex(hex: &str) -> String {
    let byte = |pair: &[u8]| {
        let digit = |b: u8| char::from(b).to_digit(16).unwrap_or(0) as u8;
        digit(pair[0]) << 4 | pair.get(1).map_or(0, |low| digit(*low))
    };
    BASE64_STANDARD.encode(hex.as_bytes().chunks(2).map(byte).collect::<Vec<u8>>())
}

impl From<UrlAuth> for FunctionUrlAuthType {
    fn from(auth: UrlAuth) -> Self {
        match auth {
            UrlAuth::None => Self::None,
            UrlAuth::AwsIam => Self::AwsIam,
        }
    }
}

impl From<FunctionUrlAuthType> for UrlAuth {
    fn from(auth: FunctionUrlAuthType) -> Self {
        match auth {
            FunctionUrlAuthType::None => Self::None,
            FunctionUrlAuthType::AwsIam => Self::AwsIam,
        }
    }
}

impl From<Cors> for lambda::Cors {
    fn from(cors: Cors) -> Self {
        let list = |list: Vec<String>| (!list.is_empty()).then_some(list);
        Self {
            allow_credentials: cors.allow_credentials.then_some(true),
            allow_headers: list(cors.allow_headers),
            allow_methods: list(cors.allow_methods),
            allow_origins: list(cors.allow_origins),
            expose_headers: list(cors.expose_headers),
            max_age: cors.max_age_s.and_then(|seconds| i32::try_from(seconds).ok()),
        }
    }
}

impl From<lambda::Cors> for Cors {
    fn from(cors: lambda::Cors) -> Self {
        Self {
            allow_credentials: cors.allow_credentials.unwrap_or_default(),
            allow_headers: cors.allow_headers.unwrap_or_default(),
            allow_methods: cors.allow_methods.unwrap_or_default(),
            allow_origins: cors.allow_origins.unwrap_or_default(),
            expose_headers: cors.expose_headers.unwrap_or_default(),
            max_age_s: cors.max_age.and_then(|seconds| u32::try_from(seconds).ok()),
        }
    }
}

/// RESPONSE_STREAM comes with streaming.
pub(crate) fn buffered(mode: Option<InvokeMode>) -> Result<(), FunctionsError> {
    match mode {
        Some(InvokeMode::ResponseStream) => {
            Err(FunctionsError::Unsupported("InvokeMode RESPONSE_STREAM".into()))
        }
        Some(InvokeMode::Buffered) | None => Ok(()),
    }
}
