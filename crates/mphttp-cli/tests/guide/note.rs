//! What a block says of itself, in an HTML comment right before it, which no reader sees:
//!
//! - `<!-- run -->`: it is run. More in the comment, each in a line of its own or, if there is one line only, behind `; `, says how:
//!   - `on HOST`: on `client` (the default) or `server`. `mphttp serve` always runs on the server, unless this says otherwise; in a
//!     block of `console`, a prompt such as `server$` names the host;
//!   - `first HOST: COMMAND`, `last HOST: COMMAND`: before and after it, which must succeed too (of `first` some may stay);
//!   - `after BEGINNING => HOST: COMMAND`: after the line that begins so;
//!   - `let TEXT => OTHER`: a placeholder, and what stands in its place while it is run;
//!   - `says TEXT`: something that is said meanwhile, on stdout or stderr; numbers may differ;
//!   - `exits BEGINNING => CODE`: the exit code of that line, if it is not 0;
//!   - `input BEGINNING => TEXT`: what is typed into it;
//!   - `stays BEGINNING`: the line does not end by itself. Of `mphttp`'s verbs it is known which do not. It is stopped, as by Ctrl-C,
//!     when the same is started anew on that host, or at the end, and must end well;
//!   - `skip BEGINNING => REASON`: that line is not run;
//!   - `bare`: the client has two links, but no endpoints yet;
//!   - `python`: it needs the Python package. Blocks of `python` need no such word.
//! - `<!-- no-run: REASON -->`.
//! - `<!-- same-as: FILE -->`: it stands in that file, which another test runs. White space doesn't count.
//! - `<!-- tested: FILE => TEXT -->`: a test in FILE, in which TEXT stands, does what the block shows.
//! - `<!-- shown: TEXT | TEXT -->`: it shows what the block before it says; these parts of it are really said. Numbers may differ.

/// How a block is run.
#[derive(Clone, Debug, Default)]
pub struct How {
    pub on: Option<String>,
    pub first: Vec<(String, String)>,
    pub last: Vec<(String, String)>,
    pub after: Vec<(String, (String, String))>,
    pub lets: Vec<(String, String)>,
    pub says: Vec<String>,
    pub exits: Vec<(String, i32)>,
    pub input: Vec<(String, String)>,
    pub stays: Vec<String>,
    pub skip: Vec<(String, String)>,
    pub bare: bool,
    pub python: bool,
}

#[derive(Clone, Debug)]
pub enum Note {
    Run(Box<How>),
    NoRun(String),
    SameAs(String),
    Tested(String, String),
    Shown(Vec<String>),
}

impl Note {
    /// `None` for a comment that is not about a block.
    pub fn parse(comment: &str) -> Result<Option<Self>, String> {
        let comment = comment.trim();
        let end = comment.find([':', ';', '\n', ' ']).unwrap_or(comment.len());
        let (word, rest) = comment.split_at(end);
        let rest = rest.trim_start_matches([':', ';']).trim();
        let needs = |what: &str| format!("`{word}` says no {what}");
        Ok(Some(match word {
            "run" => Self::Run(Box::new(How::parse(rest, if comment.contains('\n') { "\n" } else { "; " })?)),
            "no-run" if rest.is_empty() => return Err(needs("reason")),
            "no-run" => Self::NoRun(rest.split_whitespace().collect::<Vec<_>>().join(" ")),
            "same-as" => Self::SameAs(rest.to_owned()),
            "tested" => {
                let (file, text) = rest.split_once(" => ").ok_or_else(|| needs("text"))?;
                Self::Tested(file.trim().to_owned(), text.trim().to_owned())
            }
            "shown" if rest.is_empty() => return Err(needs("part")),
            "shown" => Self::Shown(rest.split(" | ").map(|part| part.trim().to_owned()).collect()),
            _ => return Ok(None),
        }))
    }
}

impl How {
    fn parse(text: &str, separator: &str) -> Result<Self, String> {
        let mut how = Self::default();
        for line in text.split(separator).map(str::trim).filter(|line| !line.is_empty()) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let rest = rest.trim();
            let odd = || format!("`{line}` is not understood");
            let pair = || {
                let (left, right) = rest.split_once(" => ").ok_or_else(odd)?;
                Ok::<_, String>((left.trim().to_owned(), right.trim().to_owned()))
            };
            let placed = |text: &str| {
                let (host, command) = text.split_once(": ").ok_or_else(odd)?;
                Ok::<_, String>((host.trim().to_owned(), command.trim().to_owned()))
            };
            match word {
                "on" => how.on = Some(rest.to_owned()),
                "first" => how.first.push(placed(rest)?),
                "last" => how.last.push(placed(rest)?),
                "after" => {
                    let (beginning, command) = pair()?;
                    how.after.push((beginning, placed(&command)?));
                }
                "let" => how.lets.push(pair()?),
                "says" => how.says.push(rest.to_owned()),
                "exits" => {
                    let (beginning, code) = pair()?;
                    how.exits.push((beginning, code.parse().map_err(|_| odd())?));
                }
                "input" => how.input.push(pair()?),
                "stays" => how.stays.push(rest.to_owned()),
                "skip" => how.skip.push(pair()?),
                "bare" => how.bare = true,
                "python" => how.python = true,
                _ => return Err(odd()),
            }
        }
        Ok(how)
    }

    /// The beginnings of lines that it speaks of: each is to be there.
    pub fn beginnings(&self) -> impl Iterator<Item = &str> {
        let pairs = self.after.iter().map(|(beginning, _)| beginning);
        let pairs = pairs.chain(self.exits.iter().map(|(beginning, _)| beginning));
        let pairs = pairs.chain(self.input.iter().chain(&self.skip).map(|(beginning, _)| beginning));
        pairs.chain(&self.stays).map(String::as_str)
    }
}
