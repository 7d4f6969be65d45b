// The app: every page is a chunk of its own, and no word of it is in the HTML that is served.
import { Suspense, lazy, useEffect } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter, Link, Route, Routes, useLocation } from "react-router";

const Topic = lazy(() => import("./pages/topic.jsx"));
const PAGES = {
  "/": ["Home", lazy(() => import("./pages/home.jsx"))],
  "/news": ["News", lazy(() => import("./pages/news.jsx"))],
  "/gallery": ["Gallery", lazy(() => import("./pages/gallery.jsx"))],
  "/video": ["Video", lazy(() => import("./pages/video.jsx"))],
  "/documents": ["Documents", lazy(() => import("./pages/documents.jsx"))],
  "/search": ["Search", lazy(() => import("./pages/search.jsx"))],
  "/widgets": ["Widgets", lazy(() => import("./pages/widgets.jsx"))],
  "/frames": ["Frames", lazy(() => import("./pages/frames.jsx"))],
  "/topics": ["Topics", lazy(() => import("./pages/topics.jsx"))],
  "/late": ["Late", lazy(() => import("./pages/late.jsx"))],
  "/about": ["About", lazy(() => import("./pages/about.jsx"))],
  "/fr/accueil": ["Accueil", lazy(() => import("./pages/welcome.jsx"))],
  "/fr/sante": ["Santé", lazy(() => import("./pages/health.jsx"))],
};

function App() {
  const { pathname } = useLocation();
  useEffect(() => {
    document.documentElement.lang = pathname.startsWith("/fr/") ? "fr" : "en";
  }, [pathname]);
  return (
    <>
      <header>
        <nav>
          {Object.entries(PAGES).map(([path, [name]]) => (
            <Link key={path} to={path}>{name}</Link>
          ))}
        </nav>
      </header>
      <main>
        <Suspense fallback={<p>…</p>}>
          <Routes>
            {Object.entries(PAGES).map(([path, [, Page]]) => (
              <Route key={path} path={path} element={<Page />} />
            ))}
            <Route path="/topics/:name" element={<Topic />} />
          </Routes>
        </Suspense>
      </main>
      <footer>
        <a href="/plain/">Plain pages</a>
      </footer>
    </>
  );
}

createRoot(document.getElementById("root")).render(
  <BrowserRouter>
    <App />
  </BrowserRouter>,
);
addEventListener("load", () => navigator.serviceWorker?.register("/sw.js"));
