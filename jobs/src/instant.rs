//! Instants and durations as people write them on the command line.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, TimeZone, Utc};

/// Epoch milliseconds of an instant: epoch milliseconds themselves, or ISO 8601, UTC if it names no zone.
///
/// # Errors
/// A text that says what was expected.
pub fn parse_instant(text: &str) -> Result<i64, String> {
    let t = text.trim();
    if let Ok(ms) = t.parse::<i64>() {
        return Ok(ms);
    }
    let utc = iso(t).ok_or_else(|| {
        format!("\"{text}\" is not an instant; write 2026-01-31, 2026-01-31T23:59:59.500Z or epoch milliseconds")
    })?;
    if utc.timestamp_subsec_nanos() % 1_000_000 != 0 {
        return Err(format!("\"{text}\" is finer than a millisecond"));
    }
    Ok(utc.timestamp_millis())
}

fn iso(t: &str) -> Option<DateTime<Utc>> {
    if let Ok(d) = NaiveDate::parse_from_str(t, "%Y-%m-%d") {
        return Some(Utc.from_utc_datetime(&d.and_hms_opt(0, 0, 0)?));
    }
    let t = t.replacen(' ', "T", 1);
    let zoned = ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z"];
    let t_offset = t.strip_suffix(['Z', 'z']).map(|s| format!("{s}+00:00"));
    let with_zone = t_offset.as_deref().unwrap_or(&t);
    if let Some(d) = zoned.iter().find_map(|f| DateTime::<FixedOffset>::parse_from_str(with_zone, f).ok()) {
        return Some(d.with_timezone(&Utc));
    }
    let local = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
    local.iter().find_map(|f| NaiveDateTime::parse_from_str(&t, f).ok()).map(|d| Utc.from_utc_datetime(&d))
}

/// Milliseconds of a duration: a whole number and a unit (`ms`, `s`, `min`, `h`, `d`), with or without a blank.
///
/// # Errors
/// A text that says what was expected.
pub fn parse_duration_ms(text: &str) -> Result<i64, String> {
    let t = text.trim();
    let digits = t.find(|c: char| !c.is_ascii_digit()).unwrap_or(t.len());
    let unit = match t[digits..].trim().to_ascii_lowercase().as_str() {
        "ms" | "millis" | "millisecond" | "milliseconds" => Some(1),
        "s" | "sec" | "second" | "seconds" => Some(1_000),
        "min" | "m" | "minute" | "minutes" => Some(60_000),
        "h" | "hour" | "hours" => Some(3_600_000),
        "d" | "day" | "days" => Some(86_400_000),
        _ => None,
    };
    unit.zip(t[..digits].parse::<i64>().ok()).and_then(|(unit, n)| n.checked_mul(unit)).ok_or_else(|| {
        format!("\"{text}\" is not a duration; write a number and a unit: 500 ms, 90 s, 10 min, 24 h, 7 d")
    })
}

/// An instant as ISO 8601 in UTC, without a fraction that is zero: how messages and reports show event time.
pub fn show_instant(ms: i64) -> String {
    match DateTime::<Utc>::from_timestamp_millis(ms) {
        Some(t) if ms.rem_euclid(1000) == 0 => t.format("%Y-%m-%d %H:%M:%S").to_string(),
        Some(t) => t.format("%Y-%m-%d %H:%M:%S%.3f").to_string(),
        None => format!("{ms} ms"),
    }
}

/// A duration in the largest unit that divides it: `24 h`, `90 s`.
pub fn show_duration(ms: i64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    let fits = |u: &&(i64, &str)| ms != 0 && ms % u.0 == 0;
    units.iter().find(fits).map_or_else(|| format!("{ms} ms"), |(u, name)| format!("{} {name}", ms / u))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_without_a_zone_are_utc() {
        for (text, ms) in [
            ("0", 0),
            ("-1500", -1500),
            ("1970-01-02", 86_400_000),
            ("2020-04-15T08:05", 1_586_937_900_000),
            ("2020-04-15 08:05:00", 1_586_937_900_000),
            ("2020-04-15T08:05:00.250", 1_586_937_900_250),
            ("2020-04-15T08:05:00Z", 1_586_937_900_000),
            ("2020-04-15T10:05:00+02:00", 1_586_937_900_000),
            ("2020-04-15T10:05+02:00", 1_586_937_900_000),
        ] {
            assert_eq!(parse_instant(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for text in ["", "yesterday", "2020-13-01", "2020-04-15T08", "2020-04-15T08:05:00.0001"] {
            assert!(parse_instant(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration_ms("24 h"), Ok(86_400_000));
        assert_eq!(parse_duration_ms("90s"), Ok(90_000));
        assert!(parse_duration_ms("90").is_err());
        assert!(parse_duration_ms("h").is_err());
        assert!(parse_duration_ms("99999999999999999 d").is_err());
        assert_eq!(show_duration(86_400_000), "1 d");
        assert_eq!(show_duration(90_000), "90 s");
        assert_eq!(show_duration(0), "0 ms");
    }
}
