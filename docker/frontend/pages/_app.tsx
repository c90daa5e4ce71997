import type { AppProps } from "next/app";
import Head from "next/head";
import "../styles.css";

export default function App({ Component, pageProps }: AppProps) {
  return (
    <>
      <Head>
        <title>Habit tracker</title>
      </Head>
      <Component {...pageProps} />
    </>
  );
}
