//! The options of file tables.

use crate::format::csv::CsvOptions;
use crate::format::json::JsonOptions;
use crate::options::Options;
use crate::types;
use arrow_schema::Schema;

/// A format with its options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values.
    Csv(CsvOptions),
    /// JSON lines.
    Json(JsonOptions),
    /// Apache Parquet.
    Parquet,
}

impl Format {
    /// How names of files end.
    pub fn extension(&self) -> &'static str {
        match self {
            Self::Csv(_) => "csv",
            Self::Json(_) => "json",
            Self::Parquet => "parquet",
        }
    }
}

/// The formats by name.
const FORMATS: [&str; 3] = ["csv", "json", "parquet"];

/// What a table of files asks for, read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// A file, folder or glob.
    pub path: String,
    /// The format.
    pub format: Format,
}

/// What a written table asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkOptions {
    /// Folder and format.
    pub file: FileOptions,
    /// Replace a folder that holds something.
    pub overwrite: bool,
    /// In a job that keeps state: bytes of staged rows that make a file.
    pub roll_bytes: u64,
    /// In a job that keeps state: the oldest that rows become before they are shown.
    pub roll_interval_ms: u64,
}

/// 1 PiB: more than any file.
const ROLL_BYTES_MAX: i64 = 1 << 50;
/// A year.
const ROLL_INTERVAL_MS_MAX: i64 = 366 * 86_400_000;

impl FileOptions {
    /// Reads the options; what is wrong is noted in `o`.
    pub fn parse(o: &mut Options, schema: &Schema) -> Self {
        let path = o.required("path", "/data/payments");
        let path = match path.split_once("://") {
            Some(("file", local)) => local,
            Some((scheme, _)) => {
                o.error("path", format!("{scheme}:// is not supported; use a path of this machine"));
                path
            }
            None => path,
        };
        o.required("format", "parquet");
        let named = !o.has_error("format");
        let format = if named { o.choice("format", &FORMATS) } else { FORMATS[0] };
        for (other, names) in [("csv", &CsvOptions::NAMES[..]), ("json", &JsonOptions::NAMES)] {
            if other != format {
                let why = format!("is an option of format '{other}', the table's format is '{format}'; remove it");
                o.unused(names, &why);
            }
        }
        let format = match format {
            "parquet" => Format::Parquet,
            "json" => Format::Json(JsonOptions::parse(o)),
            _ => Format::Csv(CsvOptions::parse(o)),
        };
        for field in schema.fields() {
            if !types::is_supported(field.data_type()) {
                let name = highwater_engine::graph::types::sql_type(field.data_type());
                o.error("format", format!("files can't hold column {} of type {name}; CAST it", field.name()));
            }
        }
        Self { path: path.to_owned(), format }
    }
}

impl SinkOptions {
    /// Reads the options; what is wrong is noted in `o`.
    pub fn parse(o: &mut Options, schema: &Schema) -> Self {
        let file = FileOptions::parse(o, schema);
        if file.path.contains(['*', '?', '[']) {
            o.error("path", format!("{:?} is a glob, a sink writes one folder; name it", file.path));
        }
        Self {
            file,
            overwrite: o.boolean("sink.overwrite", false),
            roll_bytes: o.bytes("sink.rolling-policy.file-size", 1..=ROLL_BYTES_MAX, 128 << 20) as u64,
            roll_interval_ms: o.duration_ms("sink.rolling-policy.rollover-interval", 1..=ROLL_INTERVAL_MS_MAX, 300_000)
                as u64,
        }
    }
}
