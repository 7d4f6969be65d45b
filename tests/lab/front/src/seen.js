import { useEffect, useRef } from "react";

/** A ref for an element: `then` is called each time the element comes into view. */
export function useSeen(then) {
  const ref = useRef(null);
  useEffect(() => {
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) then();
    });
    if (ref.current) observer.observe(ref.current);
    return () => observer.disconnect();
  }, [then]);
  return ref;
}
