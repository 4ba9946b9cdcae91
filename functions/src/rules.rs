//! What a function may be configured to. Pure: values in, values or AWS's words out.

use crate::rows::Config;
use crate::{FunctionsError, sharing};
use model::{Egress, Runtime, limit};
use std::collections::BTreeMap;
use wire::lambda::{
    Architecture, CreateFunctionRequest, Environment, EphemeralStorage, FunctionCode, ImageConfig, LogFormat,
    LoggingConfig, PackageType, SnapStart, SnapStartApplyOn, TracingMode, UpdateFunctionCodeRequest,
    UpdateFunctionConfigurationRequest,
};

const MEMORY_DEFAULT_MB: u32 = 128;
const TIMEOUT_DEFAULT_S: u32 = 3;
const TMP_DEFAULT_MB: u32 = 512;

/// The architecture of the machine, and so of every function on it.
pub(crate) const ARCHITECTURE: Architecture =
    if cfg!(target_arch = "aarch64") { Architecture::Arm64 } else { Architecture::X8664 };

/// Names that the platform itself sets in a function's environment.
const RESERVED: [&str; 19] = [
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
    "AWS_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_DEFAULT_REGION",
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_MAX_CONCURRENCY",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_REGION",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
];

type Checked<T> = Result<T, FunctionsError>;

/// What both CreateFunction and UpdateFunctionConfiguration may ask for and this release cannot do.
macro_rules! unserved {
    ($input:expr) => {{
        let input = $input;
        [
            (
                input.vpc_config.as_ref().is_some_and(|v| some(&v.subnet_ids) || some(&v.security_group_ids)),
                "VpcConfig",
            ),
            (input.dead_letter_config.as_ref().is_some_and(|d| filled(&d.target_arn)), "DeadLetterConfig"),
            (filled(&input.kms_key_arn), "KMSKeyArn"),
            (
                input.tracing_config.as_ref().is_some_and(|t| t.mode == Some(TracingMode::Active)),
                "TracingConfig Active",
            ),
            (some(&input.layers), "Layers"),
            (some(&input.file_system_configs), "FileSystemConfigs"),
            (
                input.image_config.as_ref().is_some_and(|image| *image != ImageConfig::default()),
                "ImageConfig",
            ),
            (input.durable_config.is_some(), "DurableConfig"),
            (input.runtime_config.is_some(), "RuntimeConfig"),
            (input.accelerator_config.is_some(), "AcceleratorConfig"),
        ]
    }};
}

/// The configuration that a CreateFunction asks for.
pub(crate) fn created(input: &CreateFunctionRequest) -> Checked<Config> {
    check_created(input)?;
    let (Some(runtime), Some(handler)) = (input.runtime, input.handler.clone()) else {
        let text =
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.";
        return Err(invalid(text));
    };
    check_role(&input.role)?;
    let runtime = served(runtime)?;
    let asked = input.capacity_provider_config.as_ref();
    let config = Config {
        sharing: asked.map_or(Ok(None), |asked| sharing::asked(asked, &runtime))?,
        runtime,
        handler,
        role: input.role.clone(),
        description: input.description.clone().unwrap_or_default(),
        timeout_s: input.timeout.map_or(Ok(TIMEOUT_DEFAULT_S), timeout)?,
        memory_mb: input.memory_size.map_or(Ok(MEMORY_DEFAULT_MB), memory)?,
        tmp_mb: input.ephemeral_storage.as_ref().map_or(Ok(TMP_DEFAULT_MB), tmp)?,
        environment: input.environment.as_ref().map_or(Ok(BTreeMap::new()), environment)?,
        snapstart: input.snap_start.as_ref().is_some_and(snapstart),
        log_group: input.logging_config.as_ref().map_or(Ok(None), logging)?,
    };
    sharing::check(&config)?;
    Ok(config)
}

/// The configuration that an UpdateFunctionConfiguration makes of the present one.
pub(crate) fn updated(now: &Config, input: &UpdateFunctionConfigurationRequest) -> Checked<Config> {
    refuse(unserved!(input))?;
    input.role.as_deref().map_or(Ok(()), check_role)?;
    let mut next = now.clone();
    let UpdateFunctionConfigurationRequest { role, handler, description, .. } = input;
    let plain = [(role, &mut next.role), (handler, &mut next.handler), (description, &mut next.description)];
    for (given, target) in plain {
        if let Some(given) = given {
            target.clone_from(given);
        }
    }
    if let Some(runtime) = input.runtime {
        next.runtime = served(runtime)?;
    }
    if let Some(seconds) = input.timeout {
        next.timeout_s = timeout(seconds)?;
    }
    if let Some(mebibytes) = input.memory_size {
        next.memory_mb = memory(mebibytes)?;
    }
    if let Some(storage) = &input.ephemeral_storage {
        next.tmp_mb = tmp(storage)?;
    }
    if let Some(given) = &input.environment {
        next.environment = environment(given)?;
    }
    if let Some(given) = &input.snap_start {
        next.snapstart = snapstart(given);
    }
    if let Some(config) = &input.logging_config {
        next.log_group = logging(config)?;
    }
    if let Some(asked) = &input.capacity_provider_config {
        next.sharing = sharing::asked(asked, &next.runtime)?;
    }
    sharing::check(&next)?;
    Ok(next)
}

/// Whether SnapStart is on. Unlike at AWS, `$LATEST` follows it too.
fn snapstart(given: &SnapStart) -> bool {
    given.apply_on == Some(SnapStartApplyOn::PublishedVersions)
}

/// The archive that a CreateFunction brings.
pub(crate) fn created_code(code: FunctionCode) -> Checked<bytes::Bytes> {
    refuse([
        (code.s3_bucket.is_some() || code.s3_key.is_some(), "Code.S3Bucket"),
        (code.image_uri.is_some(), "Code.ImageUri"),
        (code.source_kms_key_arn.is_some_and(|arn| !arn.is_empty()), "Code.SourceKMSKeyArn"),
    ])?;
    code.zip_file.ok_or_else(|| invalid("Please provide a source for function code."))
}

/// The archive that an UpdateFunctionCode brings.
pub(crate) fn updated_code(input: &mut UpdateFunctionCodeRequest) -> Checked<bytes::Bytes> {
    refuse([
        (input.s3_bucket.is_some() || input.s3_key.is_some(), "S3Bucket"),
        (input.image_uri.is_some(), "ImageUri"),
        (input.source_kms_key_arn.as_ref().is_some_and(|arn| !arn.is_empty()), "SourceKMSKeyArn"),
        (input.publish_to.is_some(), "PublishTo"),
    ])?;
    architectures(input.architectures.as_deref())?;
    input.zip_file.take().ok_or_else(|| invalid("Please provide a source for function code."))
}

/// Tags of a function after some were added.
pub(crate) fn tags(tags: &BTreeMap<String, String>) -> Checked<()> {
    const MOST: u64 = limit("tags");
    if tags.keys().any(|key| key.to_ascii_lowercase().starts_with("aws:")) {
        return Err(invalid("aws: prefixed tag key names are not allowed for external use."));
    }
    if tags.get(Egress::TAG).is_some_and(|value| Egress::parse(value).is_none()) {
        let names = Egress::ALL.map(Egress::name).join(", ");
        return Err(invalid(&format!("The tag {} must be one of {names}.", Egress::TAG)));
    }
    if tags.len() as u64 > MOST {
        return Err(invalid(&format!("A resource can have at most {MOST} tags, not {}.", tags.len())));
    }
    sharing::weight(tags).map(drop)
}

fn check_created(input: &CreateFunctionRequest) -> Checked<()> {
    architectures(input.architectures.as_deref())?;
    refuse([
        (input.package_type == Some(PackageType::Image), "PackageType Image"),
        (input.publish_to.is_some(), "PublishTo"),
        (filled(&input.code_signing_config_arn), "CodeSigningConfigArn"),
        (input.tenancy_config.is_some(), "TenancyConfig"),
    ])?;
    refuse(unserved!(input))
}

/// Nothing that a client asks for is silently left out.
pub(crate) fn refuse<const N: usize>(asked: [(bool, &str); N]) -> Checked<()> {
    match asked.into_iter().find(|(asked, _)| *asked) {
        None => Ok(()),
        Some((_, what)) => Err(FunctionsError::Unsupported(what.into())),
    }
}

fn some<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}

fn filled(text: &Option<String>) -> bool {
    text.as_ref().is_some_and(|text| !text.is_empty())
}

/// IAM gives roles a name of at most 64 characters and a path of at most 512.
fn check_role(role: &str) -> Checked<()> {
    const MOST: usize = 640;
    if role.len() <= MOST {
        return Ok(());
    }
    Err(FunctionsError::Validation(format!(
        "1 validation error detected: Value '{role}' at 'role' failed to satisfy constraint: Member must have length \
         less than or equal to {MOST}"
    )))
}

fn served(runtime: wire::lambda::Runtime) -> Checked<String> {
    let parsed = Runtime::parse(runtime.as_str()).map_err(|error| invalid(&error.to_string()))?;
    Ok(parsed.identifier)
}

fn architectures(asked: Option<&[Architecture]>) -> Checked<()> {
    match asked.unwrap_or_default().iter().find(|asked| **asked != ARCHITECTURE) {
        None => Ok(()),
        Some(asked) => Err(invalid(&format!(
            "This machine runs {ARCHITECTURE} code only; a function for {asked} needs a machine of that architecture."
        ))),
    }
}

fn timeout(seconds: i32) -> Checked<u32> {
    within(seconds, limit("timeout-max"), "timeout")
}

fn memory(mebibytes: i32) -> Checked<u32> {
    const MOST: u64 = limit("memory-max");
    within(mebibytes, MOST, "memorySize").map_err(|_| {
        invalid(&format!(
            "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to {MOST}"
        ))
    })
}

fn tmp(storage: &EphemeralStorage) -> Checked<u32> {
    within(storage.size, limit("tmp-max"), "ephemeralStorage.size")
}

/// The model's own bounds are wider than what this platform runs.
fn within(value: i32, most: u64, member: &str) -> Checked<u32> {
    u32::try_from(value).ok().filter(|value| u64::from(*value) <= most).ok_or_else(|| {
        FunctionsError::Validation(format!(
            "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must \
             have value less than or equal to {most}"
        ))
    })
}

fn environment(given: &Environment) -> Checked<BTreeMap<String, String>> {
    const MOST: u64 = limit("environment-bytes");
    const CANNOT: &str = "Lambda was unable to configure your environment variables because the environment variables \
         you have provided";
    let variables = given.variables.clone().unwrap_or_default();
    let reserved: Vec<&str> =
        variables.keys().map(String::as_str).filter(|name| RESERVED.contains(name)).collect();
    if !reserved.is_empty() {
        return Err(invalid(&format!(
            "{CANNOT} contains reserved keys that are currently not supported for modification. Reserved keys used \
             in this request: {}",
            reserved.join(", ")
        )));
    }
    let bytes: usize = variables.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes as u64 > MOST {
        return Err(invalid(&format!("{CANNOT} exceeded the 4KB limit. Bytes measured: {bytes}")));
    }
    if variables.values().any(|value| value.contains('\0')) {
        return Err(invalid(&format!("{CANNOT} contains a NUL character.")));
    }
    Ok(variables)
}

fn logging(config: &LoggingConfig) -> Checked<Option<String>> {
    refuse([
        (config.log_format == Some(LogFormat::Json), "LoggingConfig.LogFormat JSON"),
        (config.application_log_level.is_some(), "LoggingConfig.ApplicationLogLevel"),
        (config.system_log_level.is_some(), "LoggingConfig.SystemLogLevel"),
    ])?;
    Ok(config.log_group.clone())
}

fn invalid(text: &str) -> FunctionsError {
    FunctionsError::Invalid(text.into())
}

/// Whether a change was asked for on the latest revision.
pub(crate) fn revision(latest: &str, asked: Option<&str>) -> Checked<()> {
    match asked {
        Some(asked) if asked != latest => Err(FunctionsError::Stale("GetFunction/GetAlias")),
        _ => Ok(()),
    }
}
