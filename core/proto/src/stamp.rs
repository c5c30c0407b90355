//! XEP-0082 date and time, to and from milliseconds since 1970 (UTC).
//!
//! A server's or a contact's stamp may say anything: what is not a date is `None`, what lies outside of the years 1970
//! to 9999 is clamped, so that nothing later has to think about it.

use chrono::{DateTime, SecondsFormat};

/// The last millisecond of 9999.
const MAX: i64 = 253_402_300_799_999;

/// Reads `2026-11-24T09:41:03.250Z`, with or without fraction, with `Z` or an offset.
pub fn parse(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text.trim()).ok().map(|time| time.timestamp_millis().clamp(0, MAX))
}

/// Writes `2026-11-24T09:41:03.250Z`.
pub fn format(millis: i64) -> String {
    DateTime::from_timestamp_millis(millis.clamp(0, MAX))
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_read_as_they_are_written() {
        for millis in [0, 1, 951_782_400_000, 1_709_164_800_123, 1_795_513_263_250, MAX] {
            assert_eq!(parse(&format(millis)), Some(millis));
        }
        assert_eq!(format(951_782_400_000), "2000-02-29T00:00:00.000Z");
    }

    #[test]
    fn offsets_and_fractions_are_read() {
        assert_eq!(parse("2002-09-10T23:41:07Z"), Some(1_031_701_267_000));
        assert_eq!(parse("2002-09-11T01:41:07.123456+02:00"), Some(1_031_701_267_123));
        assert_eq!(parse("2002-09-10T21:11:07-02:30"), Some(1_031_701_267_000));
    }

    mod hostile {
        use super::*;

        #[test]
        fn extreme_time_is_clamped_or_dropped() {
            assert_eq!(parse("0000-01-01T00:00:00Z"), Some(0));
            assert_eq!(parse("9999-12-31T23:59:59-23:59"), Some(MAX));
            for nonsense in
                ["", "yesterday", "-001-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00+ab:cd"]
            {
                assert_eq!(parse(nonsense), None, "{nonsense}");
            }
        }
    }
}
