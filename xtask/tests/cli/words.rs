//! Words: a value from outside is one argument of a child, or one variable of a script, whatever is in it.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use crate::sandbox::Sandbox;

/// What shells, templates, TOML and terminals would like to do something with.
const AWKWARD: &[&str] = &[
    "two words",
    "  spaces  around  ",
    "",
    "\"double\" and 'single'",
    "; touch broken",
    "$(touch broken)",
    "`touch broken`",
    "${word} $word $$ ${",
    "{{.Size}} {.items}",
    "a\nb\r\nc\n",
    "\ttab\u{b}\u{1b}[31m\u{7f}",
    "back\\slash \\n \\",
    "*?[a-z]~ {a,b} !x #y",
    "&& || | > broken < x 2>&1 &",
    "-rf --force",
    "日本語 äöü 🦀 \u{202e}\u{200b}",
    "%PATH% ^x",
];

/// The awkward ones and as many random ones: the same in every run.
fn values() -> Vec<String> {
    let mut runner = TestRunner::deterministic();
    let random = "(?s)[^\0]{0,30}";
    let mut one = || random.new_tree(&mut runner).unwrap().current();
    let awkward = AWKWARD.iter().map(|text| (*text).to_owned());
    awkward.chain(std::iter::repeat_with(&mut one).take(40)).collect()
}

/// A TOML string that stands for this text. JSON writes it the same way, but for one character.
fn toml_string(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn names(values: &[String]) -> Vec<String> {
    (0..values.len()).map(|i| format!("v{i}")).collect()
}

/// Declares variables with these values.
fn vars(values: &[String]) -> String {
    let declare =
        |(name, value): (&String, &String)| format!("{name} = {}\n", toml_string(&value.replace('$', "$$")));
    format!("[vars]\n{}", names(values).iter().zip(values).map(declare).collect::<String>())
}

#[test]
fn every_value_reaches_a_child_as_one_argument() {
    let values = values();
    let words: Vec<String> = names(&values).iter().map(|name| format!("${{{name}}}")).collect();
    let sandbox = Sandbox::new(&format!(
        "{}[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrun = \"tool {}\"\n",
        vars(&values),
        words.join(" ")
    ));
    sandbox.tool("tool", "* => exit 0");
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.calls("tool"), [values]);
    assert!(!sandbox.has("broken"));
    // The ledger and the log hold them too, and nothing is torn by them.
    sandbox.expect("t=done");
}

#[test]
fn a_value_is_put_inside_a_word() {
    let sandbox = Sandbox::new(
        "[vars]\nv = \"a b;c\"\n[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrun = \"tool --x=${v}/${v} '${v}' \\\"${v}\\\" '$$v' $${v}\"\n",
    );
    sandbox.tool("tool", "* => exit 0");
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.calls("tool"), [["--x=a b;c/a b;c", "a b;c", "a b;c", "$v", "${v}"]]);
}

#[test]
fn every_value_from_the_command_line_is_taken_as_it_is() {
    let values = values();
    let words: Vec<String> = names(&values).iter().map(|name| format!("${{{name}}}")).collect();
    let declared: String = names(&values).iter().map(|name| format!("{name} = \"x\"\n")).collect();
    let sandbox = Sandbox::new(&format!(
        "[vars]\n{declared}[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nrun = \"tool {}\"\n",
        words.join(" ")
    ));
    sandbox.tool("tool", "* => exit 0");
    let mut command = sandbox.command("p");
    for (name, value) in names(&values).iter().zip(&values) {
        command.arg(format!("--set={name}={value}"));
    }
    sandbox.run_command(command).exits(0);
    assert_eq!(sandbox.calls("tool"), [values]);
}

#[test]
fn every_value_reaches_a_script_through_its_environment() {
    let values = values();
    let words: Vec<String> = names(&values).iter().map(|name| format!("\\\"${name}\\\"")).collect();
    let sandbox = Sandbox::new(&format!(
        "{}[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nshell = \"sh\"\nrun = \"tool {}\"\n",
        vars(&values),
        words.join(" ")
    ));
    sandbox.link("sh");
    sandbox.tool("tool", "* => exit 0");
    sandbox.run("p").exits(0);
    assert_eq!(sandbox.calls("tool"), [values]);
    assert!(!sandbox.has("broken"));
}

#[test]
fn a_captured_value_is_one_word_too() {
    for awkward in
        AWKWARD.iter().map(|text| text.trim()).filter(|text| !text.is_empty() && !text.contains('\\'))
    {
        let sandbox = Sandbox::new(
            "[[phase.task]]\nid = \"t\"\ntitle = \"T\"\ncapture.v = { run = \"source print\" }\nrun = \"tool ${v} -${v}-\"\n",
        );
        sandbox.tool(
            "source",
            &format!(
                "print => raw {}",
                shell_words::quote(&awkward.replace('\n', "\\n").replace('\r', "\\r"))
            ),
        );
        sandbox.tool("tool", "* => exit 0");
        sandbox.run("p").exits(0);
        assert_eq!(sandbox.calls("tool"), [[awkward.to_owned(), format!("-{awkward}-")]]);
    }
}

#[test]
fn the_strict_mode_of_a_shell_is_on() {
    for (script, code) in
        [("false; fake-tool write ran x", 1), ("fake-tool out $unset_name", 1), ("fake-tool out ${HOME}", 0)]
    {
        let sandbox = Sandbox::new(&format!(
            "[[phase.task]]\nid = \"t\"\ntitle = \"T\"\nshell = \"sh\"\nrun = '{script}'\n"
        ));
        sandbox.link("sh");
        sandbox.run("p").exits(code);
        assert!(!sandbox.has("ran"), "{script}");
    }
}
