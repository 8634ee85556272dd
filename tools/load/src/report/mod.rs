//! What is left of a run: one JSON object, one page, and how two runs compare.

mod charts;
mod compare;
mod make;
mod page;
mod record;
mod table;

#[cfg(test)]
mod tests;

pub use compare::{Comparison, Difference, Row, compare};
pub(crate) use make::{distribution, environment, moment, moments, settings, stages, tenants, without_query};
pub use page::html;
pub use record::{
    Counts, Distribution, Generator, Moment, Named, Quantile, Reading, Record, Search, Stage, Tenant, Times,
    VERSION,
};
pub use table::table;
