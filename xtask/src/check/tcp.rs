//! `tcp = "127.0.0.1:${port}"`: something listens there, or nothing does.

use super::http::PATIENCE;
use super::{Check, Context, Finding, Keys, Refuse};
use crate::pipeline::diagnostic::Diagnostic;
use crate::pipeline::read::{Period, record};
use crate::pipeline::template::Template;
use crate::world::http::Silence;

record! {
    /// Something listens at a TCP address, or nothing does.
    pub struct TcpCheck {
        /// Host and port, such as "127.0.0.1:5432".
        tcp: Template,
        /// `false`: nothing must listen there.
        open: Option<bool>,
        /// How long connecting may take; 5 s if left out.
        timeout: Option<Period>,
    }
}

impl Refuse for TcpCheck {
    fn refuse(&self, keys: &Keys<'_>) -> Vec<Diagnostic> {
        let Some(address) = self.tcp.as_static() else { return Vec::new() };
        let fine = address
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
        if fine {
            return Vec::new();
        }
        vec![
            keys.mistake("tcp", format!("`{address}` is not an address"))
                .hint("an address is `host:port`, such as `127.0.0.1:5432`"),
        ]
    }
}

impl Check for TcpCheck {
    fn describe(&self) -> String {
        let verb = if self.open == Some(false) { "nothing listens" } else { "something listens" };
        format!("{verb} at {}", self.tcp)
    }

    fn observe(&self, cx: &Context<'_>) -> Finding {
        let address = match self.tcp.fill(cx.scope) {
            Ok(address) => address,
            Err(why) => return Finding::unknown(why),
        };
        let limit = self.timeout.map_or(PATIENCE, |period| period.0).min(cx.limit);
        match (self.open.unwrap_or(true), cx.world.connect(&address, limit)) {
            (true, Ok(())) => Finding::met(),
            (true, Err(why)) => Finding::unmet("a connection", why, address),
            (false, Ok(())) => Finding::unmet("no connection", "one", address),
            (false, Err(why)) if Silence::says_closed(&why) => Finding::met_with(why),
            (false, Err(why)) => Finding::unknown(format!("{address}: {why}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use crate::world::fake::Fake;

    #[test]
    fn what_is_found() {
        let world = Fake::new().listening("127.0.0.1:4711");
        assert_found(
            &world,
            &[
                (r#"{ tcp = "127.0.0.1:${port}" }"#, "holds"),
                (
                    r#"{ tcp = "127.0.0.1:1" }"#,
                    "expected a connection, found the connection was refused (127.0.0.1:1)",
                ),
                (r#"{ tcp = "127.0.0.1:1", open = false }"#, "holds: the connection was refused"),
                (
                    r#"{ tcp = "127.0.0.1:${port}", open = false }"#,
                    "expected no connection, found one (127.0.0.1:4711)",
                ),
            ],
        );
        assert_refused(&[
            (r#"{ tcp = "localhost" }"#, "`localhost` is not an address"),
            (r#"{ tcp = "localhost:99999" }"#, "`localhost:99999` is not an address"),
            (r#"{ tcp = "h:1", open = "no" }"#, "`open` takes `true` or `false`, not a string"),
        ]);
    }
}
