//! The ready jobs plan as they stand, and quickly.

use highwater_sql::{Overrides, plan};
use std::path::Path;

#[test]
fn the_ready_jobs_plan_without_warnings() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut planned = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "sql") {
            let text = std::fs::read_to_string(&path).unwrap();
            let job = plan(&path.to_string_lossy(), &text, &Overrides::default());
            let job = job.unwrap_or_else(|all| panic!("{}", all.iter().map(|d| format!("{d}\n")).collect::<String>()));
            if let Ok(p) = std::env::var("LOOK")
                && path.to_string_lossy().contains(&p)
            {
                println!("{}", highwater_sql::explain(&job));
            }
            assert!(job.warnings.is_empty(), "{:?}", job.warnings);
            assert_eq!(job.graph.validate().map_err(|e| e.message), Ok(()));
            planned += 1;
        }
    }
    assert!(planned >= 3);
}
