import { streakText } from "../lib/days";

export function Streak({ days }: { days: number }) {
  return <span className={days > 0 ? "streak alive" : "streak"}>{streakText(days)}</span>;
}
