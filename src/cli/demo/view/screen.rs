//! Showing it: as a picture on a terminal, as one line for each thing that happened anywhere else.

use std::io;

use jiff::Zoned;

use super::draw::{Room, draw};
use super::follow::Sighting;
use super::{Seat, State};
use crate::cli::output;

/// What stands below the picture.
const PROMPT: &str = "help, stop|start|lose mgmt1 or mgmt2, quit > ";

/// Where it is shown.
pub struct Screen {
    state: State,
    /// On a terminal, this is what there is room for is asked of it.
    live: bool,
    /// Shown in place of the picture until the next line is entered.
    page: Option<String>,
}

impl Screen {
    /// Nothing is shown yet.
    pub fn new(live: bool, repository: String, names: impl Iterator<Item = &'static str>) -> Screen {
        let seats = names.map(|name| Seat { name: name.to_owned(), ..Seat::default() }).collect();
        Screen { state: State { seats, repository, ..State::default() }, live, page: None }
    }

    /// Take in what was seen; elsewhere than on a terminal it is told at once.
    pub fn take_in(&mut self, sightings: impl IntoIterator<Item = Sighting>) -> io::Result<()> {
        let at = Zoned::now().strftime("%H:%M:%S").to_string();
        for (on, seen) in sightings {
            for news in self.state.take_in(on, &at, seen) {
                if !self.live {
                    output::result(&format!("{} {:8} {}\n", news.at, news.on, news.text))?;
                }
            }
        }
        if self.live && self.page.is_none() { self.show(false) } else { Ok(()) }
    }

    /// Show a page of text; on a terminal until [`Screen::turn`].
    pub fn page(&mut self, text: &str) -> io::Result<()> {
        if !self.live {
            return output::result(&format!("{text}\n"));
        }
        self.page = Some(text.to_owned());
        self.show(true)
    }

    /// Back to the picture.
    pub fn turn(&mut self) -> io::Result<()> {
        self.page = None;
        if self.live { self.show(true) } else { Ok(()) }
    }

    /// Leave the terminal as a shell likes it.
    pub fn close(&self) -> io::Result<()> {
        if self.live { output::result("\x1b[2J\x1b[H") } else { Ok(()) }
    }

    /// Everything at once. What somebody is typing below stays, unless the prompt is to be fresh.
    fn show(&self, fresh: bool) -> io::Result<()> {
        let (columns, lines): (usize, usize) =
            terminal_size::terminal_size().map_or((80, 24), |(w, h)| (w.0.into(), h.0.into()));
        let room = Room { columns, lines: lines.saturating_sub(2), color: output::colors(&io::stdout()) };
        let picture = match &self.page {
            Some(page) => page.lines().map(str::to_owned).collect(),
            None => draw(&self.state, room),
        };
        output::result(&on_terminal(&picture, lines, fresh))
    }
}

/// The bytes that put these lines on a terminal of so many lines, above a prompt.
fn on_terminal(picture: &[String], lines: usize, fresh: bool) -> String {
    let mut text = String::from(if fresh { "\x1b[2J" } else { "\x1b7" });
    for row in 1..lines {
        let line = picture.get(row - 1).map_or("", String::as_str);
        text.push_str(&format!("\x1b[{row};1H{line}\x1b[K"));
    }
    text.push_str(&if fresh { format!("\x1b[{lines};1H\x1b[K{PROMPT}") } else { "\x1b8".to_owned() });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_below_the_picture_stays() {
        let picture = ["one".to_owned()];
        assert_eq!(on_terminal(&picture, 3, false), "\x1b7\x1b[1;1Hone\x1b[K\x1b[2;1H\x1b[K\x1b8");
        let fresh = on_terminal(&picture, 3, true);
        assert!(
            fresh.starts_with("\x1b[2J\x1b[1;1Hone") && fresh.ends_with(&format!("\x1b[3;1H\x1b[K{PROMPT}"))
        );
    }
}
