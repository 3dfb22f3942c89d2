//! When a request that failed is sent again: `Retry-After`, else a wait that doubles, never for long.

use std::time::Duration;

use time::{Date, Month, PrimitiveDateTime, Time};

/// No server is waited for longer at once.
const LONGEST: Duration = Duration::from_secs(20);

/// How long to wait before the next try; `failures` counts from 1 and `key` names what is asked for. Tries for
/// different things are spread, so that many threads or machines do not come back at the same moment.
pub fn wait(failures: u32, asked: Option<Duration>, key: &str) -> Duration {
    if let Some(asked) = asked {
        return asked.min(LONGEST);
    }
    let wait = Duration::from_millis(200) * 3_u32.saturating_pow(failures.saturating_sub(1).min(8));
    // 75 % to 125 %. FNV-1a: it only has to scatter.
    let scatter = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let seed = 0xcbf2_9ce4_8422_2325 ^ u64::from(std::process::id()) ^ (u64::from(failures) << 32);
    let hash = key.as_bytes().iter().fold(seed, scatter);
    let percent = 75 + u32::try_from((hash >> 32) % 51).unwrap_or_default();
    (wait * percent / 100).min(LONGEST)
}

/// What `Retry-After` asks for (RFC 9110 section 10.2.3): seconds, or a date, which is compared with the server's own
/// `Date`. `None` for anything else.
pub fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // So many digits that they are no u64 are as long as can be.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let until = http_date(value)? - http_date(date?)?;
    Some(until.try_into().unwrap_or(Duration::ZERO))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7, IMF-fixdate).
fn http_date(text: &str) -> Option<PrimitiveDateTime> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, rest) = text.trim().split_once(", ")?;
    let parts: Vec<_> = rest.split(' ').collect();
    let [day, month, year, clock, "GMT"] = parts[..] else {
        return None;
    };
    let month = u8::try_from(MONTHS.iter().position(|m| *m == month)? + 1).ok()?;
    let date = Date::from_calendar_date(
        year.parse().ok()?,
        Month::try_from(month).ok()?,
        day.parse().ok()?,
    )
    .ok()?;
    let clock: Vec<u8> = clock.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [hour, minute, second] = clock[..] else {
        return None;
    };
    Some(date.with_time(Time::from_hms(hour, minute, second.min(59)).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(retry_after(" 7 ", None), seconds(7));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:00 GMT", now), seconds(23));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:00:00 GMT", now), seconds(0));
        assert_eq!(retry_after("99999999999999999999999", None), seconds(u64::MAX));
        for bad in [
            "",
            "-1",
            "1.5",
            "soon",
            "Sun, 06 Nov 1994 25:00:00 GMT",
            "Sun, 06 Nov 1994",
        ] {
            assert_eq!(retry_after(bad, now), None, "{bad}");
        }
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:50:00 GMT", None), None);
    }

    #[test]
    fn waits_grow_differ_and_end() {
        let first = wait(1, None, "a");
        assert!(first >= Duration::from_millis(150) && first <= Duration::from_millis(250));
        assert!(wait(4, None, "a") > wait(2, None, "a"));
        let mut all: Vec<_> = (0..20).map(|n| wait(2, None, &format!("/{n}"))).collect();
        all.sort();
        all.dedup();
        assert!(all.len() > 5, "{all:?}");
        assert_eq!(wait(1, Some(Duration::MAX), "a"), LONGEST);
        assert_eq!(wait(99, None, "a"), LONGEST);
    }
}
