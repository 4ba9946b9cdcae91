//! What an invocation is billed, what it costs, and the lines that say so. Pure.

mod line;
mod price;

pub use line::{
    InitEnd, InitPhase, end_line, init_report_line, init_start_line, report_line, start_line, timeout_line,
};
pub use price::{PriceSheet, bill, cost};
