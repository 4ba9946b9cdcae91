//! Billed time and its price.

/// What a provider asks for a call and for the memory that it holds. Add a provider by adding a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceSheet {
    /// Whose list price this is.
    pub name: &'static str,
    /// One request, in billionths of a US dollar.
    pub request_nanodollars: u64,
    /// One gibibyte held for one second, in trillionths of a US dollar.
    pub gb_second_picodollars: u64,
}

const MEBIBYTES_PER_GIBIBYTE: u128 = 1024;
const MILLIS_PER_SECOND: u128 = 1000;
const PICO_PER_NANO: u128 = 1000;

impl PriceSheet {
    /// AWS Lambda's list price for x86, first tier: $0.20 per million requests, $0.0000166667 per GB-second.
    pub const AWS_X86: Self =
        Self { name: "aws-x86", request_nanodollars: 200, gb_second_picodollars: 16_666_700 };

    /// AWS Lambda's list price for arm64, first tier: a fifth less per GB-second.
    pub const AWS_ARM: Self =
        Self { name: "aws-arm64", request_nanodollars: 200, gb_second_picodollars: 13_333_400 };

    /// The price of one invocation in billionths of a US dollar, rounded to the nearest.
    pub fn cost(&self, memory_mb: u32, billed_ms: u64) -> u64 {
        let picodollars =
            u128::from(memory_mb) * u128::from(billed_ms) * u128::from(self.gb_second_picodollars);
        let divisor = MEBIBYTES_PER_GIBIBYTE * MILLIS_PER_SECOND * PICO_PER_NANO;
        let memory = u64::try_from((picodollars + divisor / 2) / divisor).unwrap_or(u64::MAX);
        memory.saturating_add(self.request_nanodollars)
    }
}

/// The price by AWS's x86 list in billionths of a US dollar.
pub fn cost(memory_mb: u32, billed_ms: u64) -> u64 {
    PriceSheet::AWS_X86.cost(memory_mb, billed_ms)
}

/// Billed milliseconds: handler and, where this call waited for it, init, together rounded up.
///
/// AWS bills the init phase of on-demand functions since August 2025; pass 0 on a warm call.
pub fn bill(handler_us: u64, init_us: u64) -> u64 {
    handler_us.saturating_add(init_us).div_ceil(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn billed_time_is_rounded_up_once() {
        let table = [
            (0, 0, 0),
            (1, 0, 1),
            (1_000, 0, 1),
            (1_001, 0, 2),
            (12_340, 0, 13),
            (395_990, 265_720, 662), // the sum seen in AWS's own log lines
            (500, 500, 1),
            (u64::MAX, 1, u64::MAX.div_ceil(1000)),
        ];
        for (handler_us, init_us, billed_ms) in table {
            assert_eq!(bill(handler_us, init_us), billed_ms, "{handler_us} + {init_us}");
        }
    }

    #[test]
    fn prices() {
        let arm = PriceSheet::AWS_ARM;
        let x86 = PriceSheet::AWS_X86;
        let table = [
            (x86, 128, 0, 200),
            (x86, 1024, 1000, 16_867),
            (x86, 128, 1, 202),
            (x86, 128, 100, 408),
            (arm, 1024, 1000, 13_533),
            (x86, 10_240, 900_000, 150_000_500),
            (x86, u32::MAX, u64::MAX, u64::MAX),
        ];
        for (sheet, memory_mb, billed_ms, nanodollars) in table {
            assert_eq!(
                sheet.cost(memory_mb, billed_ms),
                nanodollars,
                "{} {memory_mb} {billed_ms}",
                sheet.name
            );
        }
        assert_eq!(cost(1024, 1000), x86.cost(1024, 1000));
    }

    #[test]
    fn a_million_hellos_cost_what_the_price_page_says() {
        // One million calls of 100 ms at 128 MB: $0.20 and 12,500 GB-s * $0.0000166667 = $0.2083.
        let dollars = cost(128, 100) as f64 * 1e6 / 1e9;
        assert!((dollars - 0.408_333).abs() < 0.001, "{dollars}");
    }
}
