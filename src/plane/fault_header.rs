//! Faults that a request asks for itself: the header `Moin-Fault`, on a plane that was started to heed it.
//!
//! ```text
//! Moin-Fault: status=503; times=2      the first two requests with this very header are refused
//! Moin-Fault: delay=250ms              carried out after a while
//! Moin-Fault: hang                     never answered
//! Moin-Fault: lose-answer              carried out; the connection breaks before the answer
//! Moin-Fault: cut=3; id=a              a watch breaks off after three events; `id` tells equal headers apart
//! ```

use super::probe::Trouble;

/// The name of the header.
pub(crate) const HEADER: &str = "moin-fault";

/// What goes wrong, and with how many requests; one that names no number goes wrong every time.
pub(crate) fn parse(text: &str) -> Result<(Trouble, Option<usize>), String> {
    let (mut trouble, mut times) = (None, None);
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').map_or((part, ""), |(key, value)| (key.trim(), value.trim()));
        let wrong = || format!("Moin-Fault: {part:?} is not understood");
        let found = match key {
            "status" => {
                Trouble::Status(value.parse().ok().filter(|c| (400..600).contains(c)).ok_or_else(wrong)?)
            }
            "delay" => Trouble::Delay(humantime::parse_duration(value).map_err(|_| wrong())?),
            "cut" => Trouble::Cut(value.parse().map_err(|_| wrong())?),
            "hang" => Trouble::Hang,
            "lose-answer" => Trouble::LoseAnswer,
            "times" => {
                times = Some(value.parse().map_err(|_| wrong())?);
                continue;
            }
            "id" => continue,
            _ => return Err(wrong()),
        };
        if trouble.replace(found).is_some() {
            return Err(format!("Moin-Fault: {text:?} asks for two faults at once"));
        }
    }
    let trouble = trouble.ok_or_else(|| format!("Moin-Fault: {text:?} asks for no fault"))?;
    Ok((trouble, times))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn faults_are_read() {
        assert_eq!(parse("status=503; times=2"), Ok((Trouble::Status(503), Some(2))));
        assert_eq!(parse("delay=250ms"), Ok((Trouble::Delay(Duration::from_millis(250)), None)));
        assert_eq!(parse("cut=3;id=x"), Ok((Trouble::Cut(3), None)));
        for wrong in ["", "times=2", "status=200", "delay=soon", "hang; lose-answer", "nonsense"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
