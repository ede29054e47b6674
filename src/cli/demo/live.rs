//! The demo for people: it shows what happens until it is told to end, and does what is typed.

use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::super::BoxError;
use super::stage::Stage;
use super::view::Seen;
use super::view::follow::{Sighting, follow};
use super::view::screen::Screen;

/// What comes within this time is shown at once.
const BREATH: Duration = Duration::from_millis(50);

/// The lines that somebody types. A read cannot be given up, so it has a thread that ends with the process.
fn typed() -> UnboundedReceiver<String> {
    let (tell, lines) = unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// What can be typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Show what to try.
    Help,
    /// End the daemon of a management cluster as a crash does.
    Stop(usize),
    /// Begin it again.
    Start(usize),
    /// Lose a management cluster with everything in it; an empty one stands in its place.
    Lose(usize),
    Quit,
    /// Back to the picture.
    Nothing,
}

impl Order {
    /// What a line means, given the names of the management clusters.
    fn parse(line: &str, names: &[&str]) -> Result<Order, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let on = |name: &str| {
            let place = names.iter().position(|known| *known == name);
            place.ok_or_else(|| format!("there is no {name}: say one of {}", names.join(", ")))
        };
        match words[..] {
            [] => Ok(Order::Nothing),
            ["help" | "?"] => Ok(Order::Help),
            ["quit" | "exit" | "q"] => Ok(Order::Quit),
            ["stop", name] => on(name).map(Order::Stop),
            ["start", name] => on(name).map(Order::Start),
            ["lose", name] => on(name).map(Order::Lose),
            _ => Err(format!("{:?} is not understood: help, stop|start|lose NAME, quit", line.trim())),
        }
    }
}

/// Everything that the loop has.
struct Show<'a> {
    stage: &'a mut Stage,
    screen: Screen,
    tell: UnboundedSender<Sighting>,
    /// For each management cluster what watches it.
    watching: Vec<JoinSet<()>>,
}

/// Show and obey until told to stop.
pub async fn show(stage: &mut Stage, live: bool, stop: &CancellationToken) -> Result<(), BoxError> {
    let (tell, mut sightings) = unbounded_channel();
    let watching = stage.managements.iter().map(|management| follow(management, &tell)).collect();
    let repository = stage.repository.folder().display().to_string();
    let names = stage.managements.iter().map(|management| management.name);
    let screen = Screen::new(live, repository, names);
    let mut show = Show { stage, screen, tell, watching };
    show.screen.page(&show.stage.what_to_try())?;
    let result = show.run(&mut sightings, stop).await;
    show.screen.close()?;
    result
}

impl Show<'_> {
    async fn run(
        &mut self,
        sightings: &mut UnboundedReceiver<Sighting>,
        stop: &CancellationToken,
    ) -> Result<(), BoxError> {
        let mut lines = typed();
        let mut listens = true;
        let mut several = Vec::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = sightings.recv_many(&mut several, 10_000) => {
                    self.screen.take_in(several.drain(..))?;
                    tokio::time::sleep(BREATH).await;
                }
                line = lines.recv(), if listens => match line {
                    Some(line) => if self.obey(&line).await? { return Ok(()) },
                    // Nobody can type: it goes on until it is told to stop.
                    None => listens = false,
                },
            }
        }
    }

    /// Do what a line says. Whether that is to end.
    async fn obey(&mut self, line: &str) -> Result<bool, BoxError> {
        let names: Vec<&str> = self.stage.managements.iter().map(|management| management.name).collect();
        let order = match Order::parse(line, &names) {
            Ok(order) => order,
            Err(message) => {
                self.screen.page(&message)?;
                return Ok(false);
            }
        };
        match order {
            Order::Quit => return Ok(true),
            Order::Help => {
                self.screen.page(&self.stage.what_to_try())?;
                return Ok(false);
            }
            Order::Stop(on) => {
                self.stage.managements[on].stop_daemon().await;
                self.say(on, "its daemon was killed; in 15 s its peer stands in");
            }
            Order::Start(on) if !self.stage.managements[on].has_no_daemon() => {
                self.say(on, "its daemon runs already");
            }
            Order::Start(on) => {
                self.stage.revive(on).await?;
                self.say(on, "its daemon begins again");
            }
            Order::Lose(on) => {
                self.stage.lose(on).await?;
                self.watching[on] = follow(&self.stage.managements[on], &self.tell);
                self.say(
                    on,
                    "it was lost; an empty API server stands in its place, and no daemon runs there",
                );
            }
            Order::Nothing => {}
        }
        self.screen.turn()?;
        Ok(false)
    }

    fn say(&self, on: usize, text: &str) {
        // The other end lives as long as this.
        let _ = self.tell.send((self.stage.managements[on].name, Seen::Told(text.to_owned())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_to_do() {
        let names = ["mgmt1", "mgmt2"];
        let parse = |line| Order::parse(line, &names);
        assert_eq!(parse(" lose  mgmt2\n"), Ok(Order::Lose(1)));
        assert_eq!(parse("stop mgmt1"), Ok(Order::Stop(0)));
        assert_eq!(parse("start mgmt1"), Ok(Order::Start(0)));
        assert_eq!(
            (parse(""), parse("?"), parse("q")),
            (Ok(Order::Nothing), Ok(Order::Help), Ok(Order::Quit))
        );
        assert!(parse("stop mgmt3").unwrap_err().contains("mgmt1, mgmt2"));
        assert!(parse("burn").unwrap_err().contains("not understood"));
    }
}
