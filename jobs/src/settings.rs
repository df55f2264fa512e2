//! Settings and where they come from: a flag beats the environment, which beats `SET` in the job file, which beats TOML.
//!
//! What stands above the job file and what stands below it are kept apart, because the file is read by the planner. A key
//! of a table (`payments.path`) can only come from a flag: in the file it is the table's own `WITH`.

use crate::failure::Failure;
use highwater_sql::{Overrides, PARAMETER_PREFIX, RESERVED_TABLE_NAMES, SETTING_KEYS};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// The settings file that is read if it is there.
const DEFAULT_CONFIG: &str = "highwater.toml";

/// All layers around a job file: `highwater.toml` or `config`, the variables of the environment that name a SET key or a
/// parameter (`HIGHWATER_PARAMETER_LEAST` is `parameter.least`), `-D` flags.
///
/// # Errors
/// An unreadable file, an unknown key (the nearest is named), a flag without `=`, a variable of ours that is not UTF-8.
pub fn load(
    config: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    define: &[String],
) -> Result<Overrides, Failure> {
    let mut overrides = Overrides { defaults: read_toml(config)?, ..Overrides::default() };
    for (variable, value) in environment {
        // Other programs' variables may be any bytes.
        let Some(variable) = variable.to_str().filter(|v| v.starts_with("HIGHWATER_")) else { continue };
        let value = value.into_string().map_err(|_| Failure::usage(format!("{variable}: its value is not UTF-8")));
        if let Some(key) = SETTING_KEYS.iter().find(|k| variable_of(k) == variable) {
            overrides.set.insert((*key).into(), value?);
        } else if let Some(name) = variable.strip_prefix(&variable_of(PARAMETER_PREFIX)) {
            overrides.environment.insert(format!("{PARAMETER_PREFIX}{}", name.to_lowercase()), value?);
        }
    }
    for definition in define {
        apply(&mut overrides, definition)?;
    }
    Ok(overrides)
}

/// One `-D key=value`.
fn apply(overrides: &mut Overrides, definition: &str) -> Result<(), Failure> {
    let (key, value) = definition
        .split_once('=')
        .ok_or_else(|| Failure::usage(format!("-D {definition}: expected key=value, as in -D payments.path=DIR")))?;
    let (key, value) = (key.trim(), value.to_owned());
    if SETTING_KEYS.contains(&key) || key.starts_with(PARAMETER_PREFIX) {
        overrides.set.insert(key.into(), value);
        return Ok(());
    }
    match key.split_once('.') {
        Some((first, _)) if RESERVED_TABLE_NAMES.contains(&first) => Err(unknown_key(&format!("-D {definition}"), key)),
        Some((table, option)) if !table.is_empty() && !option.is_empty() => {
            overrides.tables.entry(table.into()).or_default().insert(option.into(), value);
            Ok(())
        }
        _ => Err(Failure::usage(format!("-D {definition}: {key} is neither a SET key nor table.option"))),
    }
}

/// `parallelism.default` is HIGHWATER_PARALLELISM_DEFAULT.
fn variable_of(key: &str) -> String {
    format!("HIGHWATER_{}", key.replace(['.', '-'], "_").to_uppercase())
}

fn read_toml(config: Option<&Path>) -> Result<BTreeMap<String, String>, Failure> {
    let path = match config {
        Some(path) => path,
        None if Path::new(DEFAULT_CONFIG).exists() => Path::new(DEFAULT_CONFIG),
        None => return Ok(BTreeMap::new()),
    };
    let text =
        std::fs::read_to_string(path).map_err(|e| Failure::usage(format!("{}: can't be read: {e}", path.display())))?;
    let table: toml::Table = text.parse().map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
    let mut flat = BTreeMap::new();
    flatten("", &table, &mut flat).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
    let unknown = |k: &&String| !SETTING_KEYS.contains(&k.as_str()) && !k.starts_with(PARAMETER_PREFIX);
    match flat.keys().find(unknown) {
        Some(key) => Err(unknown_key(&path.display().to_string(), key)),
        None => Ok(flat),
    }
}

fn flatten(prefix: &str, table: &toml::Table, into: &mut BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, into)?,
            toml::Value::String(s) => drop(into.insert(key, s.clone())),
            toml::Value::Integer(_) | toml::Value::Boolean(_) => drop(into.insert(key, value.to_string())),
            _ => return Err(format!("{key}: expected a text, a whole number or a boolean")),
        }
    }
    Ok(())
}

fn unknown_key(place: &str, key: &str) -> Failure {
    Failure::usage(format!("{place}: unknown key {key}; did you mean {}?", nearest(key, &SETTING_KEYS)))
}

/// The name nearest to `name`. `names` is not empty.
pub fn nearest<'a>(name: &str, names: &[&'a str]) -> &'a str {
    let distance = |n: &&&str| strsim::damerau_levenshtein(name, n);
    names.iter().min_by_key(distance).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(toml: &str, environment: &[(&str, &str)], define: &[&str]) -> Result<Overrides, Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), toml).unwrap();
        let environment = environment.iter().map(|(k, v)| (k.into(), v.into()));
        let define: Vec<_> = define.iter().map(|d| d.to_string()).collect();
        load(Some(file.path()), environment, &define)
    }

    #[test]
    fn a_flag_beats_the_environment_and_both_stand_above_the_file() {
        let toml = "parallelism.default = 4
[pipeline]
batch-size = 64
";
        let env = [("HIGHWATER_PARALLELISM_DEFAULT", "2"), ("HIGHWATER_OTHER", "x")];
        let all = load_text(toml, &env, &[]).unwrap();
        assert_eq!(all.set["parallelism.default"], "2");
        assert_eq!(
            (all.defaults["parallelism.default"].as_str(), all.defaults["pipeline.batch-size"].as_str()),
            ("4", "64")
        );
        assert_eq!(all.set.len(), 1);
        let all = load_text(toml, &env, &["parallelism.default=1"]).unwrap();
        assert_eq!(all.set["parallelism.default"], "1");
    }

    #[test]
    fn a_definition_is_a_set_key_or_an_option_of_a_table() {
        let all = load_text("", &[], &["payments.csv.header=true", "pipeline.name=a=b"]).unwrap();
        assert_eq!(all.tables["payments"]["csv.header"], "true");
        assert_eq!(all.set["pipeline.name"], "a=b");
    }

    #[test]
    fn parameters_come_from_every_layer() {
        let env = [("HIGHWATER_PARAMETER_LEAST", "2")];
        let all = load_text("parameter.least = 1", &env, &["parameter.country=D E"]).unwrap();
        assert_eq!(all.defaults["parameter.least"], "1");
        assert_eq!(all.environment["parameter.least"], "2");
        assert_eq!(all.set["parameter.country"], "D E");
    }

    #[test]
    fn unknown_keys_name_the_nearest() {
        for (toml, define, says) in [
            ("", "pipeline.batchsize=1", "did you mean pipeline.batch-size?"),
            ("paralelism.default = 2", "", "did you mean parallelism.default?"),
            ("", "payments=1", "neither a SET key nor table.option"),
            ("", "payments.path", "expected key=value"),
        ] {
            let define: Vec<&str> = if define.is_empty() { vec![] } else { vec![define] };
            let error = load_text(toml, &[], &define).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
