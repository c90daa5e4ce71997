import assert from "node:assert/strict";
import { test } from "node:test";
import { renderToStaticMarkup } from "react-dom/server";
import { ApiNotice, ApiState } from "../components/api-state";
import { Streak } from "../components/streak";

test("a streak that lives looks different from none", () => {
  assert.equal(renderToStaticMarkup(<Streak days={3} />), '<span class="streak alive">3-day streak</span>');
  assert.equal(renderToStaticMarkup(<Streak days={0} />), '<span class="streak">No streak yet</span>');
});

test("the page shows the API's URL and state", () => {
  const answers = renderToStaticMarkup(<ApiState status={{ url: "http://api:8000" }} />);
  assert.match(answers, /data-api-url="http:\/\/api:8000" data-api-reachable="true"/);
  assert.match(answers, /<code>http:\/\/api:8000<\/code>/);
  assert.match(answers, /answers/);
  const refuses = renderToStaticMarkup(<ApiState status={{ url: "http://api:8000", problem: "connection refused" }} />);
  assert.match(refuses, /data-api-url="http:\/\/api:8000" data-api-reachable="false"/);
  assert.match(refuses, /not reachable/);
  assert.match(renderToStaticMarkup(<ApiState status={{ problem: "not set" }} />), /data-api-url="".*unknown/);
});

test("the page says that the API is not reachable, and why", () => {
  const notice = renderToStaticMarkup(<ApiNotice status={{ problem: "`NEXT_PUBLIC_API_URL` is not set." }} />);
  assert.match(notice, /The API is not reachable: <code>NEXT_PUBLIC_API_URL<\/code> is not set\./);
  const refused = renderToStaticMarkup(<ApiNotice status={{ url: "http://api:8000", problem: "connection refused" }} />);
  assert.match(refused, /The API is not reachable: connection refused\. Start it, or correct <code>NEXT_PUBLIC_API_URL</);
  assert.equal(renderToStaticMarkup(<ApiNotice status={{ url: "http://api:8000" }} />), "");
});
