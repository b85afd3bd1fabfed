from ci.yard.picture import draw, pictures, shade


def test_a_picture_has_a_frame_and_two_characters_a_pixel() -> None:
    assert draw([[0, 16], [8, 0]], 16) == "┌────┐\n│  ██│\n│▒▒  │\n└────┘"


def test_a_value_out_of_range_is_drawn_as_the_nearest_shade() -> None:
    assert shade(-3, 16) == " "
    assert shade(99, 16) == "█"


def test_square_rows_of_numbers_under_images_are_pictures() -> None:
    assert pictures({"images": [[[0, 1], [2, 3]], [[0, 1]], "no"]}) == [[[0, 1], [2, 3]]]


def test_a_request_without_images_has_no_pictures() -> None:
    assert pictures({"rows": [[1.0, 2.0]]}) == []
