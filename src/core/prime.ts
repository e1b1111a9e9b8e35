/** Primes: sizes of tables that every step of a walk goes all around. */

/** Takes the root of `n` steps; of numbers from outside, `n` is bounded before. */
export function isPrime(n: number): boolean {
  if (n < 2) return false;
  for (let i = 2; i * i <= n; i++) if (n % i === 0) return false;
  return true;
}
