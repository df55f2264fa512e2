//! A job of your own in Rust, from the sentence to its result.
//!
//! The builder describes the job, [`JobParts`](crate::parts::JobParts) knows all connectors and operators, and
//! [`flow::run`](highwater_engine::flow::run) runs it on as many workers as you say. SQL jobs go the same way: the planner
//! makes the graph instead of the builder.
//!
//! ```
//! use highwater_engine::builder::*;
//! use highwater_engine::flow::{Control, run};
//! use highwater_engine::graph::RunOptions;
//! use highwater_jobs::parts::JobParts;
//! use std::sync::Arc;
//!
//! // Declined payments of each merchant by the hour, and how each payment compares with its card's last hour.
//! let job = Job::new("my_first_job");
//! let payments = job.source(
//!     Table::new("payments", "generator")
//!         .option("number-of-rows", 10_000)
//!         .option("late-share", 0)
//!         .column("ts", TIMESTAMP)
//!         .column("card", BIGINT)
//!         .column("merchant", BIGINT)
//!         .column("amount", decimal(12, 2))
//!         .column("status", STRING)
//!         .watermark("ts", seconds(5)),
//! );
//! payments
//!     .clone()
//!     .filter(col("status").eq(lit("DECLINED")) & col("amount").gt(lit(20)))
//!     .key_by(["merchant"])
//!     .tumble(hours(1))
//!     .aggregate([count().named("declined"), sum("amount").named("volume"), max("amount").named("largest")])
//!     .sink(Table::new("declines", "table"));
//! payments
//!     .key_by(["card"])
//!     .trailing([over(hours(1)).count(), over(hours(1)).sum("amount"), over(hours(1)).count_distinct("merchant")])
//!     .sink(Table::new("velocity", "blackhole"));
//! let graph = job.build()?;
//!
//! // The outcome does not depend on the number of workers: the digests say so.
//! let mut digests = Vec::new();
//! for workers in [1, 2] {
//!     let parts = Arc::new(JobParts::new(false));
//!     let options = RunOptions { workers, ..RunOptions::default() };
//!     let report = run(&graph, parts.clone(), &options, &Control::new())?;
//!
//!     assert_eq!(report.sources[0].rows, 10_000);
//!     let velocity = report.sinks.iter().find(|s| s.table == "velocity").expect("the job writes it");
//!     assert_eq!(velocity.rows, 10_000, "each payment is answered once");
//!     let (_, declines) = &parts.tables()[0];
//!     assert_eq!(declines.schema().field(5).name(), "volume");
//!     digests.push(report.sinks.iter().map(|s| s.digest).collect::<Vec<_>>());
//! }
//! assert_eq!(digests[0], digests[1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
