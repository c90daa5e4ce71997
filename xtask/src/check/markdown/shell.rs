//! Shell commands in a guide: is the syntax right, and which words does each command have?
//!
//! A reader of the POSIX shell command language (POSIX.1-2017, XCU 2) with what bash adds and guides use: `[[ ]]`,
//! `(( ))`, `<<<`, `<( )`, `$' '`, arrays. It runs nothing and expands nothing. Quotes, substitutions and here-documents
//! must be closed, compound commands must end, operators must have something on both sides. It accepts a little more
//! than a shell does, and nothing less.

/// What is wrong, and the one-based line of the script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line.
    pub line: usize,
    /// What is wrong, as the end of "found ...".
    pub what: String,
}

/// A simple command: its words and the targets of its redirections.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Command {
    /// The words in order, assignments before the command left out.
    pub words: Vec<Word>,
    /// Files that it writes: the targets of `>` and `>>`.
    pub written: Vec<Word>,
}

/// A word of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Without quotes. Of an expansion only its sign `$` is left.
    pub text: String,
    /// True if nothing in it is expanded: no variable, no substitution, no pattern, no leading `~`.
    pub literal: bool,
    /// The one-based line of the script.
    pub line: usize,
}

/// Reads a script: its simple commands in order, or the first mistake.
pub fn read(script: &str) -> Result<Vec<Command>, Mistake> {
    let mut reader = Reader {
        rest: script.chars().collect(),
        at: 0,
        line: 1,
        commands: Vec::new(),
        heredocs: Vec::new(),
        backquoted: false,
    };
    reader.script(None)?;
    Ok(reader.commands)
}

/// The commands of a terminal session: lines after a prompt `$ ` or `# `, and their continuation lines. Other lines,
/// which are output, become empty, so that line numbers stay.
pub fn session(text: &str) -> String {
    let mut out = String::new();
    let mut goes_on = false;
    for line in text.lines() {
        let bare = line.trim_start();
        let command =
            bare.strip_prefix("$ ").or_else(|| goes_on.then(|| bare.strip_prefix("> ").unwrap_or(bare)));
        out.push_str(command.unwrap_or_default());
        out.push('\n');
        goes_on = command.is_some_and(|command| command.trim_end().ends_with('\\'));
    }
    out
}

struct Reader {
    rest: Vec<char>,
    at: usize,
    line: usize,
    commands: Vec<Command>,
    heredocs: Vec<Heredoc>,
    /// True directly inside backquotes, where another one ends them.
    backquoted: bool,
}

/// A here-document whose text starts after the end of the line.
struct Heredoc {
    end: String,
    strip_tabs: bool,
    line: usize,
}

/// What a reader of a list of commands remembers.
#[derive(Default)]
struct State {
    /// Compound commands that are not ended, each with its line.
    open: Vec<(&'static str, usize)>,
    /// An operator that waits for its right side.
    waiting: Option<(String, usize)>,
    /// The command at hand.
    command: Command,
    /// True where a command may start.
    start: bool,
    /// True if a command stands before the next operator.
    left: bool,
}

/// Reserved words that open a compound command, and the word that ends it.
const PAIRS: &[(&str, &str)] = &[
    ("if", "fi"),
    ("for", "done"),
    ("while", "done"),
    ("until", "done"),
    ("select", "done"),
    ("case", "esac"),
    ("{", "}"),
];

type Read<T> = Result<T, Mistake>;

impl Reader {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    fn looking_at(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(i, c)| self.peek(i) == Some(c))
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn skip(&mut self, n: usize) {
        for _ in 0..n {
            self.next();
        }
    }

    fn mistake<T>(line: usize, what: impl Into<String>) -> Read<T> {
        Err(Mistake { line, what: what.into() })
    }

    /// Reads commands up to `close` (taken as well) or to the end.
    fn script(&mut self, close: Option<char>) -> Read<()> {
        let opened = self.line;
        let mut state = State { start: true, ..State::default() };
        loop {
            let Some(c) = self.peek(0) else {
                return match close {
                    Some('`') => Self::mistake(opened, "a backquote that is not closed"),
                    Some(close) => Self::mistake(opened, format!("a `(` without `{close}`")),
                    None => self.finish(state),
                };
            };
            match c {
                '\n' => {
                    self.next();
                    self.end_command(&mut state);
                    self.here_documents()?;
                }
                c if c.is_whitespace() => {
                    self.next();
                }
                '\\' if self.peek(1) == Some('\n') => {
                    let line = self.line;
                    self.skip(2);
                    if self.rest[self.at..].iter().all(|c| c.is_whitespace()) {
                        return Self::mistake(line, "a `\\` at the end with nothing after it");
                    }
                }
                '#' => {
                    while self.peek(0).is_some_and(|c| c != '\n') {
                        self.next();
                    }
                }
                ')' if close == Some(')')
                    && !state.open.iter().any(|(name, _)| matches!(*name, "(" | "case")) =>
                {
                    self.next();
                    return self.finish(state);
                }
                '`' if close == Some('`') => {
                    self.next();
                    return self.finish(state);
                }
                ';' | '&' | '|' | '(' | ')' | '<' | '>' => self.operator(&mut state)?,
                _ => self.take_word(&mut state)?,
            }
        }
    }

    /// The end of a list of commands: nothing may be open.
    fn finish(&mut self, mut state: State) -> Read<()> {
        self.end_command(&mut state);
        self.here_documents()?;
        if let Some((name, line)) = state.open.pop() {
            let end = PAIRS.iter().find(|(open, _)| *open == name).map_or(")", |(_, end)| end);
            return Self::mistake(line, format!("a `{name}` without `{end}`"));
        }
        if let Some((operator, line)) = state.waiting {
            return Self::mistake(line, format!("nothing after `{operator}`"));
        }
        Ok(())
    }

    fn end_command(&mut self, state: &mut State) {
        let command = std::mem::take(&mut state.command);
        if !command.words.is_empty() || !command.written.is_empty() {
            self.commands.push(command);
        }
        state.start = true;
        state.left = false;
    }

    fn operator(&mut self, state: &mut State) -> Read<()> {
        let line = self.line;
        let c = self.peek(0).unwrap_or_default();
        match c {
            '<' | '>' => return self.redirection(state),
            '&' if self.peek(1) == Some('>') => {
                self.next();
                return self.redirection(state);
            }
            '(' => return self.bracket(state),
            ')' => {
                self.next();
                self.end_command(state);
                return match state.open.last() {
                    Some(("(", _)) => {
                        state.open.pop();
                        state.start = false;
                        state.left = true;
                        Ok(())
                    }
                    // The end of a pattern of `case`.
                    Some(("case", _)) => {
                        state.waiting = None;
                        Ok(())
                    }
                    _ => Self::mistake(line, "a `)` without `(`"),
                };
            }
            _ => {}
        }
        let operator = [";;&", ";;", ";&", "&&", "||", "|&", ";", "&", "|"]
            .into_iter()
            .find(|operator| self.looking_at(operator));
        let operator = operator.unwrap_or(";");
        self.skip(operator.len());
        if let Some((waiting, _)) = &state.waiting
            && !state.left
        {
            return Self::mistake(line, format!("nothing between `{waiting}` and `{operator}`"));
        }
        let in_case = state.open.iter().any(|(name, _)| *name == "case");
        if !(state.left || (in_case && operator.starts_with(';'))) {
            return Self::mistake(line, format!("nothing before `{operator}`"));
        }
        self.end_command(state);
        if matches!(operator, "&&" | "||" | "|" | "|&") {
            state.waiting = Some((operator.to_owned(), line));
        }
        Ok(())
    }

    /// `(`: a subshell, an arithmetic command, the brackets of a function's definition, or a pattern of `case`.
    fn bracket(&mut self, state: &mut State) -> Read<()> {
        let line = self.line;
        if state.start && self.looking_at("((") {
            self.skip(2);
            self.until("))", line, "((")?;
            Self::arrived(state);
            return Ok(());
        }
        self.next();
        if !state.start {
            while self.peek(0).is_some_and(|c| c == ' ') {
                self.next();
            }
            if self.peek(0) == Some(')') && state.command.words.len() == 1 {
                self.next();
                state.command = Command::default();
                state.start = true;
                state.left = false;
                return Ok(());
            }
            return Self::mistake(line, "a `(` inside a command; quote it");
        }
        state.open.push(("(", line));
        state.waiting = None;
        Ok(())
    }

    /// Something now stands on the right side of an operator.
    fn arrived(state: &mut State) {
        state.waiting = None;
        state.start = false;
        state.left = true;
    }

    fn redirection(&mut self, state: &mut State) -> Read<()> {
        let line = self.line;
        if let Some(word) = self.placeholder() {
            state.command.words.push(word);
            Self::arrived(state);
            return Ok(());
        }
        if self.looking_at("<(") || self.looking_at(">(") {
            self.skip(2);
            self.substitution(')')?;
            state.command.words.push(Word { text: "$".to_owned(), literal: false, line });
            Self::arrived(state);
            return Ok(());
        }
        let operators = ["<<<", "<<-", "<<", "<&", "<>", "<", ">>", ">&", ">|", ">"];
        let operator = operators.into_iter().find(|operator| self.looking_at(operator)).unwrap_or("<");
        self.skip(operator.len());
        while self.peek(0).is_some_and(|c| c == ' ' || c == '\t') {
            self.next();
        }
        if self.peek(0).is_none_or(|c| matches!(c, '\n' | ';' | '|' | '&' | ')' | '<' | '>')) {
            return Self::mistake(line, format!("nothing after `{operator}`"));
        }
        let target = self.word()?;
        match operator {
            "<<" | "<<-" => {
                self.heredocs.push(Heredoc { end: target.text, strip_tabs: operator == "<<-", line });
            }
            ">" | ">>" | ">|" => state.command.written.push(target),
            _ => {}
        }
        Self::arrived(state);
        Ok(())
    }

    /// `<name>`, which stands for something that the reader of the guide puts in.
    fn placeholder(&mut self) -> Option<Word> {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ' | '/');
        let length = self.rest[self.at + 1..].iter().position(|c| !fits(*c))?;
        let first = self.peek(1).filter(|c| c.is_alphabetic())?;
        if self.peek(0) != Some('<') || self.peek(length + 1) != Some('>') || self.peek(length) == Some(' ') {
            return None;
        }
        let line = self.line;
        self.skip(length + 2);
        Some(Word { text: format!("<{first}>"), literal: false, line })
    }

    /// Takes the texts of the here-documents of the line that has just ended.
    fn here_documents(&mut self) -> Read<()> {
        for document in std::mem::take(&mut self.heredocs) {
            loop {
                if self.peek(0).is_none() {
                    return Self::mistake(
                        document.line,
                        format!("a here-document without its end `{}`", document.end),
                    );
                }
                let mut line = String::new();
                while let Some(c) = self.next().filter(|c| *c != '\n') {
                    line.push(c);
                }
                let bare = if document.strip_tabs { line.trim_start_matches('\t') } else { &line };
                if bare == document.end {
                    break;
                }
            }
        }
        Ok(())
    }

    fn take_word(&mut self, state: &mut State) -> Read<()> {
        let quoted = self.peek(0).is_some_and(|c| matches!(c, '\'' | '"' | '\\' | '$' | '`'));
        let word = self.word()?;
        if state.start && !quoted && self.reserved(&word, state)? {
            return Ok(());
        }
        // A number right before a redirection is a file descriptor.
        let descriptor = word.text.chars().all(|c| c.is_ascii_digit())
            && self.peek(0).is_some_and(|c| matches!(c, '<' | '>'));
        let assignment = state.command.words.is_empty() && is_assignment(&word.text);
        if !descriptor && !assignment {
            state.command.words.push(word);
            state.start = false;
        }
        state.waiting = None;
        state.left = true;
        Ok(())
    }

    /// Deals with a reserved word; false if it is none.
    fn reserved(&mut self, word: &Word, state: &mut State) -> Read<bool> {
        let text = word.text.as_str();
        let waits = |state: &mut State| {
            state.waiting = None;
            state.start = true;
            state.left = false;
        };
        if text == "[[" {
            self.until("]]", word.line, "[[")?;
            Self::arrived(state);
            return Ok(true);
        }
        if let Some((open, _)) = PAIRS.iter().find(|(open, _)| *open == text) {
            state.open.push((open, word.line));
            waits(state);
            // What follows `for` and `case` up to the next operator is a name and words, not a command.
            state.start = !matches!(*open, "for" | "select" | "case");
            state.left = matches!(*open, "for" | "select" | "case");
            if !state.start {
                state.command.words.push(word.clone());
            }
            return Ok(true);
        }
        if let Some((_, end)) = PAIRS.iter().find(|(_, end)| *end == text) {
            return match state.open.pop() {
                Some((open, _)) if PAIRS.contains(&(open, end)) => {
                    Self::arrived(state);
                    // A redirection or an operator may follow, a word may not; the word is told apart by being alone.
                    Ok(true)
                }
                Some((open, line)) => {
                    Self::mistake(word.line, format!("`{end}` where `{open}` of line {line} is still open"))
                }
                None => Self::mistake(word.line, format!("a `{end}` that ends nothing")),
            };
        }
        match text {
            "then" | "else" | "elif" => match state.open.last() {
                Some(("if", _)) => waits(state),
                _ => return Self::mistake(word.line, format!("a `{text}` without `if`")),
            },
            "do" => match state.open.last() {
                Some(("for" | "while" | "until" | "select", _)) => waits(state),
                _ => return Self::mistake(word.line, "a `do` without `for` or `while`"),
            },
            "!" | "time" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Skips to `end`, quotes and substitutions respected.
    fn until(&mut self, end: &str, line: usize, open: &str) -> Read<()> {
        loop {
            match self.peek(0) {
                None => return Self::mistake(line, format!("a `{open}` without `{end}`")),
                Some(_) if self.looking_at(end) => {
                    self.skip(end.len());
                    return Ok(());
                }
                Some('\'' | '"' | '\\' | '$' | '`') => {
                    let mut ignored = Word { text: String::new(), literal: true, line };
                    self.piece(&mut ignored)?;
                }
                Some(_) => {
                    self.next();
                }
            }
        }
    }

    fn word(&mut self) -> Read<Word> {
        let mut word = Word { text: String::new(), literal: true, line: self.line };
        while let Some(c) = self.peek(0) {
            match c {
                '(' if word.text.ends_with('=') && is_assignment(&word.text) => {
                    self.next();
                    self.substitution(')')?;
                    self.commands.pop();
                    word.literal = false;
                }
                '<' if self.placeholder_inside(&mut word) => {}
                c if c.is_whitespace() || matches!(c, ';' | '&' | '|' | '(' | ')' | '<' | '>') => break,
                '`' if self.backquoted => break,
                _ => self.piece(&mut word)?,
            }
        }
        Ok(word)
    }

    fn placeholder_inside(&mut self, word: &mut Word) -> bool {
        match self.placeholder() {
            Some(placeholder) => {
                word.text.push_str(&placeholder.text);
                word.literal = false;
                true
            }
            None => false,
        }
    }

    /// The commands of a substitution.
    fn substitution(&mut self, close: char) -> Read<()> {
        let outer = std::mem::replace(&mut self.backquoted, close == '`');
        let read = self.script(Some(close));
        self.backquoted = outer;
        read
    }

    /// One quoted part, expansion, escape or plain sign.
    fn piece(&mut self, word: &mut Word) -> Read<()> {
        let line = self.line;
        match self.next() {
            Some('\'') => self.single_quotes(word, line),
            Some('"') => self.double_quotes(word, line),
            Some('\\') => {
                match self.next() {
                    Some('\n') => {}
                    Some(c) => word.text.push(c),
                    None => return Self::mistake(line, "a `\\` at the end with nothing after it"),
                }
                Ok(())
            }
            Some('$') => self.dollar(word, line),
            Some('`') => {
                word.text.push('$');
                word.literal = false;
                self.substitution('`')
            }
            Some(c) => {
                let brace = c == '{'
                    && self.rest[self.at..]
                        .iter()
                        .take_while(|c| !c.is_whitespace())
                        .any(|c| matches!(c, ',' | '.'));
                if matches!(c, '*' | '?' | '[') || brace || (c == '~' && word.text.is_empty()) {
                    word.literal = false;
                }
                word.text.push(c);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn single_quotes(&mut self, word: &mut Word, line: usize) -> Read<()> {
        loop {
            match self.next() {
                Some('\'') => return Ok(()),
                Some(c) => word.text.push(c),
                None => return Self::mistake(line, "a `'` that is not closed"),
            }
        }
    }

    fn double_quotes(&mut self, word: &mut Word, line: usize) -> Read<()> {
        loop {
            let at = self.line;
            match self.next() {
                Some('"') => return Ok(()),
                Some('\\') => match self.next() {
                    Some('\n') => {}
                    Some(c) => word.text.push(c),
                    None => break,
                },
                Some('$') => self.dollar(word, at)?,
                Some('`') => {
                    word.text.push('$');
                    word.literal = false;
                    self.substitution('`')?;
                }
                Some(c) => word.text.push(c),
                None => break,
            }
        }
        Self::mistake(line, "a `\"` that is not closed")
    }

    /// An expansion; its `$` is taken already.
    fn dollar(&mut self, word: &mut Word, line: usize) -> Read<()> {
        let c = self.peek(0);
        if c.is_none_or(|c| !(c.is_alphanumeric() || "_({@*#?$!-'\"".contains(c))) {
            word.text.push('$');
            return Ok(());
        }
        word.literal = false;
        word.text.push('$');
        if self.looking_at("((") {
            self.skip(2);
            return self.until("))", line, "$((");
        }
        match c {
            Some('(') => {
                self.next();
                self.substitution(')')
            }
            Some('{') => {
                self.next();
                self.until("}", line, "${")
            }
            // `$'...'` knows escapes, and `$"..."` is a string for translation.
            Some('\'') => {
                self.next();
                while let Some(c) = self.next() {
                    match c {
                        '\'' => return Ok(()),
                        '\\' => drop(self.next()),
                        _ => {}
                    }
                }
                Self::mistake(line, "a `'` that is not closed")
            }
            Some('"') => Ok(()),
            Some(c) if c.is_alphanumeric() || c == '_' => {
                while self.peek(0).is_some_and(|c| c.is_alphanumeric() || c == '_') {
                    self.next();
                }
                Ok(())
            }
            _ => {
                self.next();
                Ok(())
            }
        }
    }
}

/// `NAME=value`, `NAME+=value`
fn is_assignment(text: &str) -> bool {
    let name = text.split_once('=').map(|(name, _)| name.trim_end_matches('+'));
    name.is_some_and(|name| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn right_scripts_are_right() {
        let table = [
            "",
            "# only a comment with ' and (",
            "docker build -t app:v1 docker/backend # fine",
            "a && b || c; d & e | f |& g",
            "a &&\n\n# comment\nb",
            "helm upgrade x \\\n  --wait",
            "if [ -f x ]; then a; elif b; then c; else d; fi",
            "for i in $(seq 3); do echo $i; done | sort",
            "for node in $(kubectl get nodes -o jsonpath='{.items[*].metadata.name}'); do\n  kubectl get --raw \"/api/$node\"\ndone | jq -s '[.[] | select(.a == \"b\")]\n  | { x: 1 }'",
            "while read -r line; do echo \"$line\"; done <file",
            "until curl -fsS http://127.0.0.1:3000; do sleep 1; done",
            "case $x in a|b) echo 1;; (c) echo 2 ;; *) echo 3; esac",
            "case \"$(uname)\" in\n  Linux)\n    a\n    ;;\nesac",
            "x=$(case $y in a) echo;; esac)",
            "cat >.env <<END\nA=$(openssl rand -hex 16)\nit's ( fine\nEND\nnext",
            "cat <<-'E' | sort\n\ta\n\tE",
            "cat <<A <<B\n1\nA\n2\nB",
            "f() { a; }\nf",
            "f() (a; b)",
            "(cd x && make)",
            "{ a; b; } >out 2>&1",
            "[[ $a == b && ( $c < d ) ]] && e",
            "(( i < 3 )) && echo $((i + 1))",
            "diff <(a) <(b | c)",
            "a=(1 2 '3 4') b+=(5)",
            "echo \"a $(b \"c $d\") e\" 'f' \\( $'it\\'s'",
            "echo `date` \"`date +%s`\" x`id -u`y",
            "kubectl get pod <name> -n <name-space>",
            "kubectl logs pod/<pod name>",
            "jq . <<<\"$x\"",
            "find . -name '*.yaml' -exec cat {} \\;",
            "docker run --rm -v \"$PWD:/x\" img sh -c 'a && b' &>log",
            "! a && time b",
            "kubectl exec x -- sh -c 'env | cut -d= -f1 | sort'",
            "echo $",
            "echo a#b ${x#y} ${z:-'}'}",
            "a=1 b=2 c",
        ];
        for script in table {
            assert!(read(script).is_ok(), "{script}: {:?}", read(script));
        }
    }

    #[test]
    fn mistakes_are_found_on_their_line() {
        let table = [
            ("a\necho 'it", 2, "a `'` that is not closed"),
            ("echo \"a\nb", 1, "a `\"` that is not closed"),
            ("echo $(a", 1, "a `(` without `)`"),
            ("echo `a", 1, "a backquote that is not closed"),
            ("echo ${a", 1, "a `${` without `}`"),
            ("echo $((1", 1, "a `$((` without `))`"),
            ("cat <<END\nx\n", 1, "a here-document without its end `END`"),
            ("a |\n", 1, "nothing after `|`"),
            ("a\nb &&", 2, "nothing after `&&`"),
            ("a && || b", 1, "nothing between `&&` and `||`"),
            ("| a", 1, "nothing before `|`"),
            ("; a", 1, "nothing before `;`"),
            ("a \\\n", 1, "a `\\` at the end with nothing after it"),
            ("a \\", 1, "a `\\` at the end with nothing after it"),
            ("a >", 1, "nothing after `>`"),
            ("a > | b", 1, "nothing after `>`"),
            ("(a", 1, "a `(` without `)`"),
            ("a\n)", 2, "a `)` without `(`"),
            ("{ a;", 1, "a `{` without `}`"),
            ("}", 1, "a `}` that ends nothing"),
            ("if a; then\nb", 1, "a `if` without `fi`"),
            ("if a; then b; done", 1, "`done` where `if` of line 1 is still open"),
            ("then a", 1, "a `then` without `if`"),
            ("do a; done", 1, "a `do` without `for` or `while`"),
            ("case x in a) b", 1, "a `case` without `esac`"),
            ("echo (a)", 1, "a `(` inside a command; quote it"),
            ("[[ a", 1, "a `[[` without `]]`"),
        ];
        for (script, line, what) in table {
            assert_eq!(read(script).map(|_| ()), Err(Mistake { line, what: what.to_owned() }), "{script}");
        }
    }

    #[test]
    fn commands_have_words() {
        let words = |script: &str| {
            let commands = read(script).unwrap();
            let show = |word: &Word| if word.literal { word.text.clone() } else { format!("{}*", word.text) };
            commands
                .iter()
                .map(|c| c.words.iter().map(show).collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            words("A=1 cp 'a b' \"c\"d *.x $HOME/e ~/f; (cat g) | h 2>&1"),
            ["cp a b cd *.x* $/e* ~/f*", "cat g", "h"]
        );
        assert_eq!(words("echo $(cat inner/x) k8s/<name>.yaml"), ["cat inner/x", "echo $* k8s/<n>.yaml*"]);
        assert_eq!(
            read("a >x 2>>'y z'").unwrap()[0].written.iter().map(|w| w.text.as_str()).collect::<Vec<_>>(),
            ["x", "y z"]
        );
        assert_eq!(read("a\n\nb \\\n c").unwrap()[1].words[1].line, 4);
    }

    #[test]
    fn a_session_is_its_commands() {
        assert_eq!(session("$ a \\\n>  b\noutput ' here\n$ c\n"), "a \\\n b\n\nc\n");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-z $'\"`(){}<>|&;#\\\\\n=\\[\\]]{0,40}") {
            let _ = read(&text);
        }

        #[test]
        fn a_quoted_word_is_one_word(text in "[ -~\n]{0,20}") {
            let quoted = shell_words::quote(&text).into_owned();
            prop_assume!(!text.is_empty());
            let commands = read(&format!("echo {quoted} end")).unwrap();
            prop_assert_eq!(commands.len(), 1);
            prop_assert_eq!(&commands[0].words[1].text, &text);
            prop_assert_eq!(commands[0].words.len(), 3);
        }
    }
}
