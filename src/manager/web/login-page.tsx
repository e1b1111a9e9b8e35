/** What somebody sees whom the dashboard does not know: one field for his access token. */
/** @jsxImportSource hono/jsx */
// (Said here too, since the compiler's settings are looked for where the process was started.)
import { MESH_VERSION } from "../../core/version.ts";

export function loginPage(): string {
  const page = (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>Mesh: who are you?</title>
        <link rel="stylesheet" href={`/dashboard.css?${MESH_VERSION}`} />
        <link rel="icon" href="data:," />
      </head>
      <body>
        <header>
          <h1>Mesh</h1>
        </header>
        <main id="main">
          <form class="note">
            <p>
              <label for="token">An access token, of `mesh ctl access-token create`</label>
            </p>
            <p>
              <input id="token" type="password" autocomplete="off" autofocus />{" "}
              <button type="submit">Show the dashboard</button>
            </p>
            <p id="said" role="status" />
          </form>
        </main>
        <script type="module" src={`/login.js?${MESH_VERSION}`} />
      </body>
    </html>
  );
  return `<!doctype html>${page.toString()}`;
}
