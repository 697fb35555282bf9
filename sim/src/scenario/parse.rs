//! From a file to a [`Scenario`]: lines, what is indented below them, and what the names in them refer to.

use std::iter::Peekable;

use lobbyd_core::name::UserName;
use lobbyd_core::packet::PROTOCOL_VERSION;

use super::error::{ParseError, did_you_mean};
use super::names::{Names, SETUP_WORDS, STEP_WORDS};
use super::operations::{ARRIVES, VERBS};
use super::setup::Reader;
use super::tokens::{Complaint, Line, Parsed, Refusal, found, here};
use super::{Event, Expectation, Expected, Operation, Pattern, Scenario, Step, WITHIN};
use super::{expectations, faults, operations, tokens};

/// The most steps of a scenario, what `repeat` makes included.
pub const STEPS_MAX: usize = 100_000;
/// How deep lines may be indented below one another.
const DEPTH_MAX: usize = 8;

/// Reads a scenario as `grammar.md` says it is written.
///
/// # Errors
/// Says where the file is no scenario, and what could stand there instead.
pub fn parse(source: &str) -> Result<Scenario, ParseError> {
    let refused = |(number, refusal): (u32, Refusal)| {
        let text = source.lines().nth(number.saturating_sub(1) as usize).unwrap_or_default();
        shown(number, text, refusal)
    };
    let mut lines = source_lines(source).peekable();
    let nodes = block(&mut lines, 0, 0).map_err(refused)?;
    let mut parser = Parser::default();
    let mut steps = Vec::new();
    for node in &nodes {
        parser.top(node, &mut steps).map_err(refused)?;
    }
    parser.reader.validate().map_err(refused)?;
    if let Some(unknown) = parser.names.unknown_host() {
        return Err(refused(unknown));
    }
    Ok(Scenario { title: title(source), setup: parser.reader.setup, steps })
}

/// The refusal of a line, as a person sees it.
fn shown(number: u32, text: &str, refusal: Refusal) -> ParseError {
    let Refusal { at, complaint, help } = refusal;
    let message = match complaint {
        Complaint::Expected(what) => format!("expected {what}; found {}", found(text, at)),
        Complaint::Wrong(what) => what,
    };
    let before = text.get(..at).unwrap_or(text).chars().count();
    // A line of over four billion characters does not fit into a file that anybody reads.
    ParseError { line: number, column: before as u32 + 1, text: text.to_owned(), message, help }
}

/// The first comment of the file, up to a comment line without text.
fn title(source: &str) -> String {
    let comment = source.lines().map(str::trim).skip_while(|line| line.is_empty());
    let texts = comment.map_while(|line| line.strip_prefix('#')).map(str::trim).take_while(|text| !text.is_empty());
    texts.collect::<Vec<_>>().join(" ")
}

/// A line that says something.
#[derive(Clone, Copy, Debug)]
struct Source<'s> {
    number: u32,
    text: &'s str,
    indent: usize,
}

impl<'s> Source<'s> {
    /// The line without its indentation.
    fn line(&self) -> Line<'s> {
        let mut line = Line::new(self.text);
        tokens::indentation(&mut line);
        line
    }

    fn refuse(&self, at: usize, what: impl Into<String>) -> (u32, Refusal) {
        (self.number, Refusal::wrong(at, what))
    }
}

fn source_lines(source: &str) -> impl Iterator<Item = Source<'_>> {
    source.lines().zip(1_u32..).filter_map(|(text, number)| {
        let said = text.trim_start_matches(' ');
        let is_empty = said.trim().is_empty() || said.starts_with('#');
        (!is_empty).then_some(Source { number, text, indent: text.len() - said.len() })
    })
}

/// A line, and those that are indented below it.
#[derive(Debug)]
struct Node<'s> {
    source: Source<'s>,
    children: Vec<Node<'s>>,
}

type Refused = (u32, Refusal);

fn block<'s>(
    lines: &mut Peekable<impl Iterator<Item = Source<'s>>>,
    indent: usize,
    depth: usize,
) -> Result<Vec<Node<'s>>, Refused> {
    let mut nodes = Vec::new();
    while let Some(source) = lines.next_if(|line| line.indent >= indent) {
        if source.text[source.indent..].starts_with('\t') {
            return Err(source.refuse(source.indent, "lines are indented by spaces, not by tabs"));
        }
        if source.indent > indent {
            return Err(source.refuse(source.indent, format!("this line should be indented by {indent} spaces")));
        }
        if depth > DEPTH_MAX {
            return Err(source.refuse(source.indent, "lines are indented too deep"));
        }
        let children = match lines.peek() {
            Some(next) if next.indent > indent => {
                let below = next.indent;
                block(lines, below, depth + 1)?
            }
            Some(_) | None => Vec::new(),
        };
        nodes.push(Node { source, children });
    }
    Ok(nodes)
}

#[derive(Debug, Default)]
struct Parser {
    reader: Reader,
    names: Names,
    has_steps: bool,
}

/// What a line of a block says.
enum Said {
    Steps(Vec<Step>),
    Expectation(Expectation),
}

impl Parser {
    /// A line that is not indented, with what is below it.
    fn top(&mut self, node: &Node<'_>, steps: &mut Vec<Step>) -> Result<(), Refused> {
        let source = node.source;
        let line = &mut source.line();
        let word = tokens::peek_word(line).unwrap_or_default();
        if SETUP_WORDS.contains(&word) {
            if self.has_steps {
                return Err(source.refuse(here(line), format!("`{word}` stands before the first step")));
            }
            if let Some(below) = node.children.first() {
                return Err(below.source.refuse(below.source.indent, format!("nothing stands below `{word}`")));
            }
            let read = tokens::word(line, word).and_then(|_| self.reader.read(word, line, source.number));
            return read.and_then(|()| end(line)).map_err(|refusal| (source.number, refusal));
        }
        if !self.has_steps {
            self.has_steps = true;
            self.names.daemons.clone_from(&self.reader.setup.daemons);
        }
        match self.said(node, false)? {
            Said::Steps(more) => steps.extend(more),
            Said::Expectation(_) => {
                return Err(source.refuse(0, "what is expected is indented below the step that it comes of"));
            }
        }
        if steps.len() > STEPS_MAX {
            return Err(source.refuse(0, format!("these are more than {STEPS_MAX} steps")));
        }
        Ok(())
    }

    /// A line of a step, with what is below it.
    fn said(&mut self, node: &Node<'_>, is_together: bool) -> Result<Said, Refused> {
        let source = node.source;
        let placed = |refusal| (source.number, refusal);
        let line = &mut source.line();
        let at = here(line);
        if expectations::is_next(line) {
            let expectation = self.expectation(line, None).map_err(placed)?;
            return match node.children.first() {
                Some(below) => Err(below.source.refuse(below.source.indent, "nothing stands below an expectation")),
                None => Ok(Said::Expectation(expectation)),
            };
        }
        let word = tokens::word(line, "a step, such as `alice connect` or `advance 30s`").map_err(placed)?;
        match word {
            "together" if is_together => Err(source.refuse(at, "`together` cannot stand in another `together`")),
            "together" => self.together(node, line).map(Said::Steps),
            "repeat" => self.repeat(node, line, is_together).map(Said::Steps),
            "advance" | "wait" | "check" if is_together => {
                Err(source.refuse(at, format!("`{word}` cannot stand in `together`: nothing is begun by it")))
            }
            _ => {
                let (mut steps, own) = self.simple(word, at, line, source.number).map_err(placed)?;
                if is_together && steps.len() > 1 {
                    let what = format!("`{ARRIVES}` is several steps and cannot stand in `together`");
                    return Err(source.refuse(at, what));
                }
                let step = steps.last_mut().expect("a line is at least one step");
                self.ending(line, step, own.as_deref(), is_together).map_err(placed)?;
                self.below(&node.children, step, own.as_deref())?;
                Ok(Said::Steps(steps))
            }
        }
    }

    /// `within …`, an expectation, and the end of the line.
    fn ending(&mut self, line: &mut Line<'_>, step: &mut Step, own: Option<&str>, is_together: bool) -> Parsed<()> {
        let at = here(line);
        if tokens::keyword(line, "within") {
            if is_together {
                return Err(Refusal::wrong(at, "what happens together has one time: say `together within …`"));
            }
            step.within = tokens::duration(line)?;
        }
        if line.starts_with("->") {
            step.expects.push(expectations::expectation(line, own, &self.names)?);
        }
        end(line)
    }

    /// The expectations below a step.
    fn below(&self, children: &[Node<'_>], step: &mut Step, own: Option<&str>) -> Result<(), Refused> {
        for child in children {
            self.expected(child, own, &mut step.expects)?;
        }
        Ok(())
    }

    /// An expectation, or `repeat` with those that are expected so many times.
    fn expected(&self, node: &Node<'_>, own: Option<&str>, expects: &mut Vec<Expectation>) -> Result<(), Refused> {
        let placed = |refusal| (node.source.number, refusal);
        let line = &mut node.source.line();
        if tokens::keyword(line, "repeat") {
            let times = times(line).map_err(placed)?;
            let mut once = Vec::new();
            for child in &node.children {
                self.expected(child, own, &mut once)?;
            }
            let repeated = repeated(&once, times).map_err(|what| node.source.refuse(node.source.indent, what))?;
            expects.extend(repeated);
            return Ok(());
        }
        if !expectations::is_next(line) {
            let what = "what is expected of the step above, such as `-> Welcome`";
            return Err(placed(Refusal::expected(here(line), what)));
        }
        expects.push(self.expectation(line, own).map_err(placed)?);
        match node.children.first() {
            Some(below) => Err(below.source.refuse(below.source.indent, "nothing stands below an expectation")),
            None => Ok(()),
        }
    }

    fn expectation(&self, line: &mut Line<'_>, own: Option<&str>) -> Parsed<Expectation> {
        let expectation = expectations::expectation(line, own, &self.names)?;
        end(line)?;
        Ok(expectation)
    }

    fn together(&mut self, node: &Node<'_>, line: &mut Line<'_>) -> Result<Vec<Step>, Refused> {
        let mut all = step(node.source.number, Event::Wait);
        self.ending(line, &mut all, None, false).map_err(|refusal| (node.source.number, refusal))?;
        let mut steps = Vec::new();
        for child in &node.children {
            match self.said(child, true)? {
                Said::Steps(more) => steps.extend(more),
                Said::Expectation(expectation) => all.expects.push(expectation),
            }
        }
        if steps.is_empty() {
            return Err(node.source.refuse(node.source.indent, "nothing is indented below `together`"));
        }
        all.event = Event::Together(steps);
        Ok(vec![all])
    }

    fn repeat(&mut self, node: &Node<'_>, line: &mut Line<'_>, is_together: bool) -> Result<Vec<Step>, Refused> {
        let times = times(line).map_err(|refusal| (node.source.number, refusal))?;
        let mut steps = Vec::new();
        for child in &node.children {
            match self.said(child, is_together)? {
                Said::Steps(more) => steps.extend(more),
                Said::Expectation(_) => {
                    let what = "what is expected is indented below the step that it comes of";
                    return Err(child.source.refuse(child.source.indent, what));
                }
            }
        }
        repeated(&steps, times).map_err(|what| node.source.refuse(node.source.indent, what))
    }

    /// A step on one line, or the steps that it stands for, and whose step it is if it is a client's.
    fn simple(
        &mut self,
        word: &str,
        at: usize,
        line: &mut Line<'_>,
        number: u32,
    ) -> Parsed<(Vec<Step>, Option<String>)> {
        let event = match word {
            "advance" => Event::Advance(tokens::duration(line)?),
            "wait" => Event::Wait,
            "check" => {
                let daemon = self.names.daemon(line)?;
                Event::Check { daemon, check: faults::check(line)? }
            }
            other => match faults::fault(other, line, number, &mut self.names)? {
                Some(fault) => Event::Fault(fault),
                None => return Ok((self.client(other, at, line, number)?, Some(other.to_owned()))),
            },
        };
        Ok((vec![step(number, event)], None))
    }

    /// A step of the client that `client` names.
    fn client(&mut self, client: &str, at: usize, line: &mut Line<'_>, number: u32) -> Parsed<Vec<Step>> {
        let verb = tokens::peek_word(line).unwrap_or_default();
        let is_known = self.names.known_client(at, client).is_ok();
        if !is_known && verb != ARRIVES && !VERBS.contains(&verb) {
            let words = STEP_WORDS.into_iter().chain(SETUP_WORDS);
            let help = did_you_mean(client, words.chain(self.names.clients.iter().map(String::as_str)));
            return Err(Refusal::expected(at, "a step, such as `alice connect` or `advance 30s`").with_help(help));
        }
        match verb {
            "connect" | ARRIVES => self.names.connects(at, client)?,
            _ => self.names.known_client(at, client)?,
        }
        if tokens::keyword(line, ARRIVES) {
            return self.arrives(client, at, line, number);
        }
        let operation = operations::operation(line, &self.names)?;
        Ok(vec![client_step(number, client, operation, None)])
    }

    /// `arrives [at DAEMON] [as USER SECRET]`: connects, says hello and logs in.
    fn arrives(&self, client: &str, at: usize, line: &mut Line<'_>, number: u32) -> Parsed<Vec<Step>> {
        let daemon = operations::daemon_after(line, "at", &self.names)?;
        let (user, name, secret) = if tokens::keyword(line, "as") {
            let user_at = here(line);
            let user = tokens::string(line, "a user name")?;
            let name = user.parse::<UserName>().map_err(|_| Refusal::expected(user_at, tokens::USER_NAME))?;
            (user, name, tokens::string(line, "the user's secret")?)
        } else {
            let user: Option<UserName> = client.parse().ok();
            let account = self.reader.setup.accounts.iter().find(|account| Some(account.user) == user);
            let account = account.ok_or_else(|| {
                Refusal::wrong(at, format!("there is no account {client}"))
                    .with_help(format!("say as whom: `{client} {ARRIVES} as USER SECRET`"))
            })?;
            (account.user.to_string(), account.user, account.secret.clone())
        };
        let packet = |packet: &str, fields| Some(Pattern { packet: packet.to_owned(), fields });
        let welcome = packet("Welcome", Vec::new());
        let accepted = packet("LoginResponse", vec![("name".to_owned(), name.to_string())]);
        Ok(vec![
            client_step(number, client, Operation::Connect { daemon }, welcome),
            client_step(number, client, Operation::Hello { version: PROTOCOL_VERSION }, None),
            client_step(number, client, Operation::Login { user, secret }, accepted),
        ])
    }
}

fn step(line: u32, event: Event) -> Step {
    Step { line, event, expects: Vec::new(), within: WITHIN }
}

fn client_step(line: u32, client: &str, operation: Operation, expects: Option<Pattern>) -> Step {
    let event = Event::Client { client: client.to_owned(), operation };
    let expects = expects.map(|pattern| Expectation { client: client.to_owned(), what: Expected::Packet(pattern) });
    Step { line, event, expects: expects.into_iter().collect(), within: WITHIN }
}

/// How many times, and the end of the line.
fn times(line: &mut Line<'_>) -> Parsed<usize> {
    let times = tokens::number(line, "how many times")?;
    end(line)?;
    Ok(times)
}

/// The same so many times; what is wrong if that is nothing, or too much.
fn repeated<T: Clone>(once: &[T], times: usize) -> Result<Vec<T>, String> {
    if once.is_empty() || times == 0 {
        return Err("nothing is repeated".to_owned());
    }
    if once.len().saturating_mul(times) > STEPS_MAX {
        return Err(format!("this is repeated more than {STEPS_MAX} times"));
    }
    Ok(once.iter().cloned().cycle().take(once.len() * times).collect())
}

fn end(line: &Line<'_>) -> Parsed<()> {
    if tokens::is_at_end(line) { Ok(()) } else { Err(Refusal::expected(here(line), "the end of the line")) }
}
