//! Moments, as people write them.

use domain::time::Timestamp;

/// The longest time back that a moment may be written with: ten years, in seconds.
const BACK_LIMIT_SECONDS: u64 = 10 * 366 * 86_400;

/// Reads a date, a date and time (UTC), or a length of time back from now.
pub(super) fn read(text: &str, now: Timestamp) -> Option<Timestamp> {
    back(text, now).or_else(|| date(text))
}

fn back(text: &str, now: Timestamp) -> Option<Timestamp> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds = digits.parse::<u64>().ok()?.checked_mul(unit).filter(|s| *s <= BACK_LIMIT_SECONDS)?;
    Some(Timestamp::from_micros(now.micros().saturating_sub(seconds * 1_000_000)))
}

fn date(text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    let moment: jiff::civil::DateTime = match text.parse::<jiff::civil::DateTime>() {
        Ok(moment) => moment,
        Err(_) => text.parse::<jiff::civil::Date>().ok()?.to_datetime(jiff::civil::Time::midnight()),
    };
    let at = moment.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond();
    u64::try_from(at).ok().map(Timestamp::from_micros)
}
