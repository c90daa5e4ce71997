//! `evidence verify`: whether records and logs are what was recorded.

use serde_json::json;

use super::locate;
use crate::cli::{EvidenceArgs, EvidenceCommand, EvidenceVerifyArgs, Global};
use crate::failure::{Failure, exit};
use crate::ids::Digest;
use crate::ledger::chain;
use crate::ledger::store::{self, Home};
use crate::status::VERSION;
use crate::ui::Ui;
use crate::view;

/// `evidence`
pub fn evidence(global: &Global, args: &EvidenceArgs, ui: &Ui) -> Result<u8, Failure> {
    match &args.command {
        EvidenceCommand::Verify(args) => verify(global, args, ui),
    }
}

/// `evidence verify`. The plan is not read: evidence is what it is whatever the file says now.
fn verify(global: &Global, args: &EvidenceVerifyArgs, ui: &Ui) -> Result<u8, Failure> {
    let head = args.head.as_ref().map(|text| {
        Digest::parse(text).ok_or_else(|| {
            Failure::usage(format!("`{text}` is not a digest"))
                .hint("`--head` takes the 32 hexadecimal digits that `evidence verify` prints")
        })
    });
    let head = head.transpose()?;
    let file = locate(global)?;
    let full =
        file.canonicalize_utf8().map_err(|e| Failure::usage(format!("failed to find `{file}`: {e}")))?;
    ui.at(full.parent().unwrap_or(&full));
    let home = Home::new(full.parent().unwrap_or(&full));
    let was_under_way = home.running().is_some();
    let chain = chain(&store::text(&home).map_err(Failure::ledger)?);
    let logs = store::logs(&home).map_err(Failure::ledger)?;
    // A run that began meanwhile has made logs that were not on record yet.
    let under_way = was_under_way || home.running().is_some();
    let verified = chain.verify(&logs, under_way, head);
    if args.json {
        let mut value = json!({ "version": VERSION, "ledger": ".xtask/ledger.jsonl" });
        if let (Some(shape), Ok(serde_json::Value::Object(rest))) =
            (value.as_object_mut(), serde_json::to_value(&verified))
        {
            shape.extend(rest);
        }
        ui.json(&value);
    } else {
        ui.data(&view::evidence(&verified, ui.look()));
    }
    Ok(if verified.intact { exit::DONE } else { exit::FAILED })
}
