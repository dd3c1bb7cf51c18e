"""How many people there are in the shared `scenes/`, counted by eye before any detector had seen them.

`COUNTS`: in 15 frames of each video, in the middles of 15 equal parts of it. Whoever shows any part of the body counts:
legs leaving the picture, a back behind a signpost, two people at the far cars. Nobody can be seen in the cars.
`VISITS`: the seconds (from the first up to, without, the last, judged by the frame in the middle of each second) in
which somebody is in the picture.
"""

COUNTS = {
    "pedestrians.avi": (5, 7, 9, 7, 7, 6, 6, 3, 3, 6, 6, 7, 7, 9, 8),
    "people_one_by_one.mp4": (0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1),
    "cars.mp4": (0,) * 15,
}
VISITS = {"people_one_by_one.mp4": ((6, 20), (23, 45), (50, 70), (74, 87), (92, 120), (123, 136))}
