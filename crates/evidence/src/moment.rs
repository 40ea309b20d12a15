//! Moments as people name them.

use domain::time::Timestamp;

/// Reads a time (RFC 3339), or a date, which is its midnight in UTC; nothing before 1970.
pub(crate) fn read(text: &str) -> Option<Timestamp> {
    let time = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let date = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == "2027-01-15".len())?;
        Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })?;
    u64::try_from(time.as_microsecond()).ok().map(Timestamp::from_micros)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_date_is_its_midnight_in_utc() {
        let cases = [
            ("2026-11-01", Some(1_793_491_200_000_000)),
            ("2026-11-01T00:00:00Z", Some(1_793_491_200_000_000)),
            ("2026-11-01T01:00:00+01:00", Some(1_793_491_200_000_000)),
            ("1969-12-31", None),
            ("20261101", None),
            ("2026-11", None),
            ("2026-13-01", None),
            ("yesterday", None),
            ("", None),
        ];
        for (text, micros) in cases {
            assert_eq!(read(text).map(|time| time.micros()), micros, "{text}");
        }
    }
}
