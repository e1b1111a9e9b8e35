/**
 * The small services of Bookinfo, a bookshop's page in four parts: what each answers, as a function
 * of a request. The page itself is in product-page.ts.
 *
 *   edge ─▶ productpage ─┬─▶ details
 *                        └─▶ reviews v1 | v2 | v3 ─(v2, v3)─▶ ratings
 */
import { callService, headersToPassOn } from "./bookinfo-call.ts";

export interface Book {
  readonly id: number;
  readonly title: string;
  readonly author: string;
  readonly year: number;
  readonly type: string;
  readonly pages: number;
  readonly publisher: string;
  readonly language: string;
  readonly isbn: string;
  readonly version: string;
}

export interface Rating {
  readonly stars: number;
  readonly color: string;
}

export interface Review {
  readonly reviewer: string;
  readonly text: string;
  /** Absent: this version does not ask. */
  readonly rating?: Rating | { readonly error: string };
}

export interface Reviews {
  readonly id: number;
  readonly version: string;
  readonly reviews: readonly Review[];
}

export interface Ratings {
  readonly id: number;
  readonly version: string;
  /** By reviewer, 1..5. */
  readonly ratings: Readonly<Record<string, number>>;
}

export type Service = (request: Request) => Response | Promise<Response>;

/** Longer than a delay of two seconds, so that such a delay is seen and not hidden. */
const RATINGS_TIMEOUT_MS = 2_500;

export function detailsService(version: string): Service {
  return (request) => {
    const id = idIn(request, "details");
    if (id === undefined) return notFound();
    const book: Book = {
      id,
      title: "The Comedy of Errors",
      author: "William Shakespeare",
      year: 1595,
      type: "paperback",
      pages: 200,
      publisher: "PublisherA",
      language: "English",
      isbn: "978-0-00-000000-2",
      version,
    };
    return json(book);
  };
}

const texts: readonly (readonly [reviewer: string, text: string])[] = [
  [
    "Reviewer1",
    "An extremely entertaining play by Shakespeare. The slapstick humour is refreshing!",
  ],
  [
    "Reviewer2",
    "Absolutely fun and entertaining. The play lacks thematic depth when compared to others.",
  ],
];

export function reviewsService(version: string): Service {
  const color = version === "v3" ? "red" : "black";
  return async (request) => {
    const id = idIn(request, "reviews");
    if (id === undefined) return notFound();
    if (version === "v1") return json(reviewsOf(id, version, () => undefined));
    const answer = await callService<Ratings>(`http://ratings:9080/ratings/${id}`, {
      timeoutMs: RATINGS_TIMEOUT_MS,
      headers: headersToPassOn(request.headers),
    });
    return json(
      reviewsOf(id, version, (reviewer) =>
        answer.at === "ok"
          ? { stars: answer.body.ratings[reviewer] ?? 0, color }
          : { error: answer.reason },
      ),
    );
  };
}

function reviewsOf(
  id: number,
  version: string,
  ratingOf: (reviewer: string) => Review["rating"] | undefined,
): Reviews {
  const reviews = texts.map(([reviewer, text]): Review => {
    const rating = ratingOf(reviewer);
    return rating === undefined ? { reviewer, text } : { reviewer, text, rating };
  });
  return { id, version, reviews };
}

export function ratingsService(version: string): Service {
  return (request) => {
    const id = idIn(request, "ratings");
    if (id === undefined) return notFound();
    const ratings: Ratings = { id, version, ratings: { Reviewer1: 5, Reviewer2: 4 } };
    return json(ratings);
  };
}

/** `/details/0` ─▶ 0 */
function idIn(request: Request, name: string): number | undefined {
  const found = /^\/([a-z]+)\/(\d{1,6})$/.exec(new URL(request.url).pathname);
  return found?.[1] === name ? Number(found[2]) : undefined;
}

function json(value: unknown): Response {
  return Response.json(value);
}

function notFound(): Response {
  return new Response("no such page\n", { status: 404 });
}
