//! How many calls share an instance, and what a function counts for beside others. Pure.

use crate::FunctionsError;
use crate::rows::Config;
use model::{Language, Runtime, limit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wire::lambda::{CapacityProviderConfig, LambdaManagedInstancesCapacityProviderConfig};

/// The one capacity provider that there is: this machine.
const MACHINE: &str = ":capacity-provider:dayfly";
/// The tag that sets a function's weight.
const WEIGHT: &str = "dayfly:weight";

/// Calls at once in one worker of components, which has one thread.
const COMPONENTS: u32 = limit("wasm-instances") as u32;

/// What a function asks for that serves several calls in one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sharing {
    pub provider_arn: String,
    /// Calls at once.
    pub concurrency: u32,
}

/// Reads a `CapacityProviderConfig`; asking for what is so anyway is asking for nothing.
pub(crate) fn asked(
    config: &CapacityProviderConfig,
    runtime: &str,
) -> Result<Option<Sharing>, FunctionsError> {
    let LambdaManagedInstancesCapacityProviderConfig {
        capacity_provider_arn: arn,
        per_execution_environment_max_concurrency: most,
        execution_environment_memory_gi_b_per_v_cpu: memory,
    } = &config.lambda_managed_instances_capacity_provider_config;
    if memory.is_some() {
        return Err(FunctionsError::Unsupported("ExecutionEnvironmentMemoryGiBPerVCpu".into()));
    }
    if !arn.ends_with(MACHINE) {
        return Err(FunctionsError::Invalid(format!(
            "The capacity provider {arn} does not exist; the only one is this machine: \
             arn:aws:lambda:<region>:<account>{MACHINE}"
        )));
    }
    let concurrency = most.map_or_else(|| usual(runtime), |most| u32::try_from(most).unwrap_or(0));
    if !(1..=limit("instance-concurrency")).contains(&u64::from(concurrency)) {
        return Err(FunctionsError::Invalid(format!(
            "PerExecutionEnvironmentMaxConcurrency must be 1 to {} (limit instance-concurrency), not {concurrency}",
            limit("instance-concurrency")
        )));
    }
    let usual = language(runtime).map_or(1, unasked);
    Ok((concurrency != usual).then(|| Sharing { provider_arn: arn.clone(), concurrency }))
}

/// Calls at once in an instance of a function that does not say. Components have an instance of their own per call
/// inside, so nothing that they hold is shared.
pub(crate) fn unasked(language: Language) -> u32 {
    if language == Language::Wasm { COMPONENTS } else { 1 }
}

/// AWS's own values for one processor.
fn usual(runtime: &str) -> u32 {
    match language(runtime) {
        Some(Language::Wasm) => COMPONENTS,
        Some(Language::Node) => 64,
        Some(Language::Provided) => 32,
        Some(Language::Python) => 16,
        _ => 1,
    }
}

fn language(runtime: &str) -> Option<Language> {
    Runtime::parse(runtime).ok().map(|runtime| runtime.language)
}

/// Refuses sharing where the language's handlers run one call at a time, and more than it has processes for.
pub(crate) fn check(config: &Config) -> Result<(), FunctionsError> {
    const PROCESSES: u64 = limit("instance-workers");
    let Some(sharing) = &config.sharing else { return Ok(()) };
    let why = match language(&config.runtime) {
        Some(Language::Java) => {
            "is served for python, nodejs and provided runtimes. Handlers of Java run one call at a time: leave it \
             out, or set it to 1."
                .to_owned()
        }
        Some(Language::Python) if u64::from(sharing.concurrency) > PROCESSES => format!(
            "can be at most {PROCESSES} for {}, where each call has a process of its own (limit instance-workers).",
            config.runtime
        ),
        _ => return Ok(()),
    };
    Err(FunctionsError::Invalid(format!("PerExecutionEnvironmentMaxConcurrency above 1 {why}")))
}

/// As the API shows it.
pub(crate) fn shown(sharing: &Sharing) -> CapacityProviderConfig {
    CapacityProviderConfig {
        lambda_managed_instances_capacity_provider_config: LambdaManagedInstancesCapacityProviderConfig {
            capacity_provider_arn: sharing.provider_arn.clone(),
            per_execution_environment_max_concurrency: i32::try_from(sharing.concurrency).ok(),
            execution_environment_memory_gi_b_per_v_cpu: None,
        },
    }
}

/// What a function of these tags counts for beside others.
///
/// # Errors
/// The tag is there and is no weight.
pub(crate) fn weight(tags: &BTreeMap<String, String>) -> Result<u32, FunctionsError> {
    let Some(text) = tags.get(WEIGHT) else { return Ok(1) };
    let most = limit("weight");
    let weight = text.parse::<u32>().ok().filter(|weight| (1..=most).contains(&u64::from(*weight)));
    weight.ok_or_else(|| {
        FunctionsError::Invalid(format!(
            "The tag {WEIGHT} must be a whole number from 1 to {most}, not {text:?}."
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_asked(arn: &str, most: Option<i32>, runtime: &str) -> Result<Option<u32>, String> {
        let config = CapacityProviderConfig {
            lambda_managed_instances_capacity_provider_config: LambdaManagedInstancesCapacityProviderConfig {
                capacity_provider_arn: arn.into(),
                per_execution_environment_max_concurrency: most,
                execution_environment_memory_gi_b_per_v_cpu: None,
            },
        };
        let sharing = asked(&config, runtime).map_err(|error| error.to_string())?;
        Ok(sharing.map(|sharing| sharing.concurrency))
    }

    #[test]
    fn a_function_may_ask_for_more_than_one_call_at_once() {
        let arn = "arn:aws:lambda:us-east-1:000000000000:capacity-provider:dayfly";
        for (most, runtime, concurrency) in [
            (Some(1), "nodejs22.x", None),
            (Some(2), "nodejs22.x", Some(2)),
            (Some(1600), "provided.al2023", Some(1600)),
            (None, "nodejs22.x", Some(64)),
            (None, "provided.al2023", Some(32)),
            (None, "python3.12", Some(16)),
            (None, "wasm", None),
            (Some(1), "wasm", Some(1)),
            (Some(16), "wasm", Some(16)),
            (Some(64), "wasm", None),
        ] {
            assert_eq!(check_asked(arn, most, runtime), Ok(concurrency), "{most:?} {runtime}");
        }
        for most in [0, -1, 1601] {
            let error = check_asked(arn, Some(most), "nodejs22.x").expect_err("it is out of range");
            assert!(error.contains("1 to 1600"), "{error}");
        }
        let elsewhere =
            check_asked(&arn.replace("dayfly", "fleet"), Some(2), "nodejs22.x").expect_err("another");
        assert!(elsewhere.contains("the only one is this machine"), "{elsewhere}");
    }

    #[test]
    fn weights() {
        let weigh = |text: &str| weight(&BTreeMap::from([(WEIGHT.to_owned(), text.to_owned())])).ok();
        for (text, expected) in
            [("1", Some(1)), ("1000", Some(1000)), ("0", None), ("1001", None), ("x", None)]
        {
            assert_eq!(weigh(text), expected, "{text}");
        }
        assert_eq!(weight(&BTreeMap::new()).ok(), Some(1));
    }
}
